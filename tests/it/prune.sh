#!/bin/bash
# Pruning by selection and by rule on copies of every world at hand: what stays is as it was, at its place;
# the parts of a chunk go and come together; the disk has the room that was said; restoring gives back
# every chunk, byte for byte. Then refusals and what a full disk does. Promises 4 and 5.
in_memory=yes
. "${0%/*}/lib.sh"
. "${0%/*}/prune-lib.sh"

worlds=${MCFS_WORLDS:-$MCFS_SOURCE_ROOT/../shared/worlds}

disk_use() { # WORLD: bytes of its region files
	find "$1" \( -name '*.mca' -o -name '*.mcc' \) -printf '%b\n' | awk '{ n += $1 } END { print n * 512 + 0 }'
}

holes_possible() { # files that may have got a block for the list of their holes
	find "$1" -name '*.mca' | wc -l
}

# What stayed is as before, place included; what went went in all three folders.
check_pruned() { # FOLDER-PREFIX WHAT; gone: $work/gone.list ("c.X.Z" a line)
	chunks_of "$w" places >"$work/after.list"
	awk -v prefix="$1" -v gone="$work/gone.list" '
		BEGIN { while ((getline c < gone) > 0) goes[c] = 1 }
		{ folder = $1; sub(/(region|entities|poi)$/, "", folder)
		  if (!(folder == prefix && $2 in goes)) print }' "$work/before.list" >"$work/stays.list"
	equal_lists "$work/stays.list" "$work/after.list" "$2: what should have stayed is another"
}

restore_all() { # WHAT
	expect 0 "$MCFS" trash restore --world "$w" --all
	chunks_of "$w" >"$work/now.list"
	cut -d' ' -f1-7 "$work/before.list" >"$work/want.list"
	equal_lists "$work/want.list" "$work/now.list" "$1: restored chunks are others"
	expect 0 "$MCFS" trash list --world "$w"
	[ ! -s "$work/stdout" ] || fail "$1: the trash is not empty"
}

try_world() { # NAME
	local had less said dim folder
	chunks_of "$w" places >"$work/before.list"
	[ -s "$work/before.list" ] || return 0
	# By selection: every other readable chunk of the overworld.
	folder=$(find "$w" -path '*/overworld/region' -printf '%P\n' | sed -n '1s/region$//p')
	# What another part of it makes unreadable is not for pruning.
	awk -v f="$folder" '{ in_it = $1 == f "region" || $1 == f "entities" || $1 == f "poi" }
		in_it && $7 != "ok" { bad[$2] = 1 }
		$1 == f "region" && NR % 2 { pick[$2] = 1 }
		END { for (c in pick) if (!(c in bad)) print c }' "$work/before.list" >"$work/gone.list"
	if [ -s "$work/gone.list" ]; then
		awk -F. '{ print int($2 < 0 ? ($2 - 31) / 32 : $2 / 32) ";" int($3 < 0 ? ($3 - 31) / 32 : $3 / 32) ";" $2 ";" $3 }' \
			"$work/gone.list" >"$work/selection.csv"
		expect 0 "$MCFS" --json prune --world "$w" --selection "$work/selection.csv" -n
		said=$(json freed_bytes)
		had=$(disk_use "$w")
		expect 0 "$MCFS" --json prune --world "$w" --selection "$work/selection.csv"
		[ "$(json done)" = "$(wc -l <"$work/gone.list")" ] || fail "$1: $(json done) chunks pruned"
		[ "$(json freed_bytes)" = "$said" ] || fail "$1: the dry run said $said, it was $(json freed_bytes)"
		less=$((had - $(disk_use "$w")))
		[ "$less" -le "$said" ] && [ $((less + 4096 * $(holes_possible "$w"))) -ge "$said" ] ||
			fail "$1: $said bytes less were promised, it is $less"
		check_pruned "$folder" "$1"
		restore_all "$1"
	fi
	# By rule, in all dimensions.
	local code=0
	"$MCFS" --json prune --world "$w" --query 'InhabitedTime < "10 minutes" AND xPos >= 0' --force \
		--keep-radius 0 >"$work/stdout" 2>"$work/stderr" || code=$?
	[ "$code" = 0 ] || [ "$code" = 3 ] || fail "$1: $(cat "$work/stderr")"
	"$MCFS" trash list --world "$w" >"$work/trash.list"
	chunks_of "$w" places >"$work/after.list"
	[ -z "$(comm -13 "$work/before.list" "$work/after.list")" ] || fail "$1: a survivor is another"
	if [ -s "$work/trash.list" ]; then
		restore_all "$1, by rule"
	fi
	rm -rf "$w" "$MCFS_STATE_DIR"
}

# Folders of worlds, folders of region files alone, region files of other names: "KIND PATH" a line.
things_at_hand() {
	find "$worlds"/history/*/005 "$worlds"/single -regextype posix-extended -type f \
		-regex '.*/r\.-?[0-9]+\.-?[0-9]+\.mca' -printf '%h\n' | sort -u |
		while read -r dir; do
			case $dir in
			*/DIM*/region | */DIM*/entities | */DIM*/poi) echo "world ${dir%/DIM*}" ;;
			*/region | */entities | */poi) echo "world ${dir%/*}" ;;
			*) echo "folder $dir" ;;
			esac
		done | sort -u
	find "$worlds"/single -type f -name '?*r.*.mca' -printf 'file %p\n'
}

w=$work/w
if [ -d "$worlds/single" ]; then
	while read -r kind thing; do
		rm -rf "$w"
		mkdir "$w"
		case $kind in
		world) cp -r "$thing/." "$w" ;;
		folder)
			mkdir "$w/region"
			find "$thing" -maxdepth 1 -type f \( -name '*.mca' -o -name '*.mcc' \) -exec cp {} "$w/region" \;
			;;
		file)
			mkdir "$w/region"
			name=${thing##*/}
			cp "$thing" "$w/region/r.${name#*r.}"
			;;
		esac
		chmod -R u+w "$w"
		check "${thing#"$worlds"/}"
		try_world "${thing#"$worlds"/}"
	done < <(things_at_hand)
fi

check "a made world, both layouts"
for layout in classic 26.1; do
	"$MCFS_DEMO_WORLD" create "$w" --regions 1 --seed 7 --layout $layout
	try_world "$layout"
done

check "what is refused"
"$MCFS_DEMO_WORLD" create "$w" --regions 1 --seed 7
chunks_of "$w" places >"$work/before.list"
expect 2 "$MCFS" prune --world "$w"
one_clear_line
expect 2 "$MCFS" prune --world "$w" --query 'xPos > 0' c.0.0
expect 2 "$MCFS" prune --world "$w" c.0
expect 2 "$MCFS" prune --world "$w" --query 'nonsense'
one_clear_line
expect 1 "$MCFS" prune --world "$work/nowhere" c.0.0
one_clear_line
expect 1 "$MCFS" prune --world "$w" --dimension nowhere c.0.0
one_clear_line
mkdir "$work/empty"
expect 1 "$MCFS" prune --world "$work/empty" c.0.0
one_clear_line
says 'there is no world'
expect 1 "$MCFS" -s "$work/store" prune --world "$w" --query 'xPos > 0' --require-snapshot "1 hour"
expect 0 "$MCFS" --json prune --world "$w" --query 'xPos > 1000000'
tail -n 1 "$work/stdout" | grep -qE '^\{"type":"summary","dry_run":false,"done":0,.*"exit_code":0\}$' ||
	fail "no summary when there is nothing to prune: $(cat "$work/stdout")"
expect 3 "$MCFS" --json prune --world "$w" --query 'xPos > -1000'
[ "$(json type)$(json exit_code)" = summary3 ] || fail "no summary of a refusal"
expect 3 "$MCFS" prune --world "$w" --query 'xPos > -1000'
says 'max_fraction'
chunks_of "$w" places >"$work/after.list"
equal_lists "$work/before.list" "$work/after.list" "a refusal changed the world"
export MCFS_STORE=$work/store
expect 0 "$MCFS" init
expect 1 "$MCFS" prune --world "$w" --query 'xPos > 0' --require-snapshot "1 hour"
says 'there is no snapshot'
expect 0 "$MCFS" snapshot "$w"
expect 0 "$MCFS" prune --world "$w" --query "xPos > 0 AND zPos > 20" --require-snapshot "1 hour"
expect 0 "$MCFS" trash restore --world "$w" --all

check "a radius around what matches"
far=$(awk '$1 ~ /region$/ && $1 !~ /DIM|nether|end/ { print $2 }' "$work/before.list" | sort -t. -k2,2nr -k3,3nr | sed -n 1p)
IFS=. read -r _ x z <<<"$far"
expect 0 "$MCFS" prune --world "$w" --dimension overworld --query "xPos = $x AND zPos = $z" --radius 2 --keep-radius 0
"$MCFS" trash list --world "$w" | grep -oE 'c\.-?[0-9]+\.-?[0-9]+' | sort -u >"$work/got.list"
awk -v x="$x" -v z="$z" '$1 ~ /region$/ && $1 !~ /DIM|nether|end/ { split($2, c, "."); dx = c[2] - x; dz = c[3] - z
	if (dx * dx + dz * dz <= 2.3 * 2.3) print $2 }' "$work/before.list" | sort -u >"$work/want.list"
[ "$(wc -l <"$work/want.list")" -gt 2 ] || fail "$far has no neighbours"
equal_lists "$work/want.list" "$work/got.list" "--radius took other chunks"
expect 0 "$MCFS" trash restore --world "$w" --all
expect 2 "$MCFS" prune --world "$w" --rules /dev/null --radius 2
one_clear_line

check "explained, listed, emptied"
chunk=$(awk '$1 ~ /region$/ && $1 !~ /DIM|nether|end/ { print $2; exit }' "$work/before.list")
expect 0 "$MCFS" prune --world "$w" --query 'xPos > -100000' --explain "$chunk"
expect 0 "$MCFS" prune --world "$w" "$chunk"
expect 0 "$MCFS" --json trash list --world "$w"
[ "$(json items)" = 1 ] || fail "$(json items) items instead of 1"
expect 0 "$MCFS" trash list
says ': 1 chunk,'
expect 0 "$MCFS" trash empty --keep "1 day"
expect 0 "$MCFS" trash empty --world "$w" --all
expect 1 "$MCFS" trash restore --world "$w" "$chunk"
one_clear_line

check "the trash is something a snapshot keeps"
chunks_of "$w" >"$work/want.list"
expect 0 "$MCFS" prune --world "$w" r.0.0
expect 0 "$MCFS" snapshot "$MCFS_STATE_DIR/trash"
rm -rf "$MCFS_STATE_DIR/trash"
expect 0 "$MCFS" restore latest --to "$work/restored"
mkdir -p "$MCFS_STATE_DIR"
mv "$work/restored/trash" "$MCFS_STATE_DIR/trash"
expect 0 "$MCFS" trash restore --world "$w" --all
chunks_of "$w" >"$work/now.list"
equal_lists "$work/want.list" "$work/now.list" "from a restored trash"

check "another world in the same place is told from the old one"
expect 0 "$MCFS" prune --world "$w" r.0.0
mv "$w" "$work/old"
"$MCFS_DEMO_WORLD" create "$w" --regions 1 --seed 8
code=0
"$MCFS" trash restore --world "$w" --all >"$work/stdout" 2>"$work/stderr" || code=$?
if [ "$code" = 0 ]; then echo "the demo world has no seed"; else
	[ "$code" = 1 ] || fail "exit code $code"
	one_clear_line
	says 'another one'
fi
rm -rf "$w"

check "a full disk"
if is_root && mkdir "$work/disk" && mount -t tmpfs -o size=8m mcfs-test "$work/disk" 2>/dev/null; then
	mounted=$work/disk
	w=$work/disk/w
	"$MCFS_DEMO_WORLD" create "$work/big" --regions 1 --seed 9
	mkdir "$w"
	cp "$work/big/level.dat" "$w/" 2>/dev/null || true
	src=$(find "$work/big" -path '*/region/r.0.0.mca' ! -path '*/DIM*' -size -6M | sed -n 1p)
	[ "$src" ] || fail "no region file that fits"
	mkdir "$w/region"
	cp "$src" "$w/region/"
	find "${src%/*}" -name "c.*.mcc" -exec cp {} "$w/region/" \;
	chunks_of "$w" >"$work/want.list"
	name=$(basename "$src" .mca)
	# The trash has no room: nothing is changed.
	dd if=/dev/zero of="$work/disk/filler" bs=4096 2>/dev/null || true
	MCFS_STATE_DIR=$work/disk/state expect 1 "$MCFS" prune --world "$w" "$name"
	one_clear_line
	says 'No space|full'
	chunks_of "$w" >"$work/now.list"
	equal_lists "$work/want.list" "$work/now.list" "a full disk changed the world"
	# With the trash elsewhere pruning makes room; without room restoring leaves everything in the trash.
	expect 0 "$MCFS" prune --world "$w" "$name"
	dd if=/dev/zero of="$work/disk/filler2" bs=4096 2>/dev/null || true
	expect 1 "$MCFS" trash restore --world "$w" --all
	says 'No space'
	nothing_lost "$work/want.list" "$w" "restoring on a full disk"
	rm "$work/disk/filler" "$work/disk/filler2"
	expect 0 "$MCFS" trash restore --world "$w" --all
	chunks_of "$w" >"$work/now.list"
	equal_lists "$work/want.list" "$work/now.list" "restored with room again"
else
	echo "skipped: cannot mount here"
fi
