# Every real world: what the mount shows is what went in, to the last bit of metadata; a copy from
# the mount is what a restore gives; every chunk is there; the tests' own region reader agrees.
. "$(dirname "$0")/lib.sh"
[ -d "${MCFS_WORLDS:-}" ] || skip "no real worlds here (MCFS_WORLDS)"

worlds=()
for w in "$MCFS_WORLDS"/single/* "$MCFS_WORLDS"/history/*/000 "$MCFS_WORLDS"/history/*/005; do
	[ -d "$w" ] && worlds+=("$w")
done

# The folder of a dimension -> its directory in the chunk view, as the layouts have it.
view_of() { # FOLDER-BELOW-WORLD
	case $1 in
	'') echo overworld ;;
	DIM-1 | */DIM-1) echo "${1%DIM-1}the_nether" ;;
	DIM1 | */DIM1) echo "${1%DIM1}the_end" ;;
	*) echo "$1/overworld" ;;
	esac
}

expect 0 "$MCFS" -s "$MCFS_STORE" init
total=0
for w in "${worlds[@]}"; do
	copy=$work/source/$total/$(basename "$w")
	mkdir -p "$(dirname "$copy")"
	cp -a "$w" "$copy"
	expect 0 "$MCFS" snapshot "$copy"
	total=$((total + 1))
done
mount_store
[ "$(find "$mnt/snapshots/" -mindepth 1 -maxdepth 1 -type d | wc -l)" = $total ] ||
	fail "not all snapshots are there"

i=0
for w in "${worlds[@]}"; do
	world=$(basename "$w")
	copy=$work/source/$i/$world
	snap=$("$MCFS" list | grep -oE '^[0-9]{4}-[^ ]+' | sort | sed -n "$((i + 1))p")
	shown=$mnt/snapshots/$snap/$world
	check "$w"
	same "$copy" "$shown"
	mkdir "$work/out"
	cp -a "$shown" "$work/out/copied"
	expect 0 "$MCFS" restore "$snap" --to "$work/out/restored"
	same "$work/out/restored/$world" "$work/out/copied"
	rm -rf "$work/out"
	"$MCFS_DEMO_WORLD" chunks "$copy" >"$work/want" 2>&1 || true
	"$MCFS_DEMO_WORLD" chunks "$shown" >"$work/got" 2>&1 || true
	cmp "$work/want" "$work/got" || fail "the region reader sees other chunks in the mount"
	while IFS= read -r folder; do
		rel=${folder#"$copy"}
		rel=${rel#/}
		expect 0 "$FS_TOOL" chunks "$folder" "$mnt/chunks/$snap/$world/$(view_of "$rel")"
		sed 's/^/	/' "$work/stdout"
	done < <(find "$copy" -name 'r.*.mca' -printf '%h\n' | grep -E '/(region|entities|poi)$' |
		sed -E 's,/(region|entities|poi)$,,' | sort -u)
	i=$((i + 1))
done
log_is_quiet
umount_store
