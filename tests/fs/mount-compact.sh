# Snapshots are forgotten and compact removes packs under a mount of another process: open files and
# listings of what is kept give the same bytes during it and after it; what was forgotten gives its
# bytes or EIO with one line, never other bytes.
. "$(dirname "$0")/lib.sh"

export MCFS_CACHE_DIR=$work/cache-of-mount
src=$work/src
expect 0 "$MCFS" -s "$MCFS_STORE" init
expect 0 "$MCFS_DEMO_WORLD" create "$src/world" --regions 1 --seed 9
mkdir "$src/many"
for k in 1 2 3; do
	head -c 3000000 /dev/urandom >"$src/noise"
	seq $((k * 7)) | sed "s/^/$k /" >"$src/text"
	for i in $(seq 20); do head -c 30000 /dev/urandom >"$src/many/$i"; done
	"$MCFS_DEMO_WORLD" play "$src/world" --minutes 2 --seed $k
	settle
	expect 0 "$MCFS" snapshot "$src"
	# The second is forgotten while it is in use, the third is kept.
	case $k in 2 | 3) cp -a "$src" "$work/want$k" ;; esac
done
mapfile -t names < <("$MCFS" list | cut -d' ' -f1)
[ ${#names[@]} = 3 ] || fail "not three snapshots"

# compact and forget run as on another machine: with a cache of their own.
other() {
	MCFS_CACHE_DIR=$work/cache-of-other expect 0 "$MCFS" "$@"
}

# Small: nearly everything must come from packs again.
mount_store --cache-size 16M
kept=$mnt/snapshots/${names[2]}/src
doomed=$mnt/snapshots/${names[1]}/src
listed() {
	(cd "$1" && find . \( -type d -printf '%P/ %m %T@\n' \) -o -printf '%P %m %s %T@\n' | sort)
}
listed "$work/want3" >"$work/want3.list"
listed "$kept" >"$work/got.list"
cmp -s "$work/want3.list" "$work/got.list" || fail "the listing is wrong before anything happened"

check "files that are open before compact, half read"
exec 5<"$kept/noise" 6<"$doomed/noise" 7<"$kept/many/3" 8<"$doomed/many/3" 9<"$doomed"
head -c 1000000 <&5 >"$work/kept.half"
head -c 1000000 <&6 >"$work/doomed.half"

check "kept snapshots are read while compact runs, again and again"
readers=()
for k in 1 2; do
	"$FS_TOOL" random "$kept" "$work/want3" 60 2 $k >/dev/null 2>"$work/reader$k" &
	readers+=($!)
done
(
	while [ ! -e "$work/stop" ]; do
		listed "$kept" | cmp - "$work/want3.list" || exit 1
	done
) &
readers+=($!)
find "$MCFS_STORE/packs" -type f | sort >"$work/before.packs"
other forget "${names[0]}"
other compact --grace 0 --max-unused 1%
other forget "${names[1]}"
other compact --grace 0 --max-unused 1%
gone=$(comm -23 "$work/before.packs" <(find "$MCFS_STORE/packs" -type f | sort) | wc -l)
echo "	$gone of $(wc -l <"$work/before.packs") packs went"
[ "$gone" -gt 0 ] || fail "no pack went: the test tests nothing"
touch "$work/stop"
wait "${readers[2]}" || fail "a listing of a kept snapshot changed"
for k in 0 1; do
	kill -0 "${readers[k]}" 2>/dev/null || { cat "$work/reader$((k + 1))"; fail "a reader found other bytes"; }
	kill -9 "${readers[k]}"
	wait "${readers[k]}" 2>/dev/null || true
	[ ! -s "$work/reader$((k + 1))" ] || { cat "$work/reader$((k + 1))"; fail "a reader found other bytes"; }
done
log_is_quiet

check "after it: what was open, and everything by name"
cat <&5 >>"$work/kept.half"
cmp "$work/kept.half" "$work/want3/noise" || fail "an open file of a kept snapshot changed"
cmp - "$work/want3/many/3" <&7 || fail "an open file of a kept snapshot changed"
diff -r "$work/want3" "$kept" || fail "a kept snapshot changed"
log_is_quiet

check "the forgotten one: its own bytes or EIO, with one line"
cat <&6 >>"$work/doomed.half" 2>"$work/err" && code=0 || code=$?
if [ $code != 0 ]; then
	grep -q 'Input/output error' "$work/err" || fail "not EIO: $(cat "$work/err")"
fi
cmp "$work/doomed.half" "$work/want2/noise" 2>&1 | grep -v '^cmp: EOF on .*doomed.half' &&
	fail "other bytes in an open file of a forgotten snapshot"
[ $code != 0 ] || cmp "$work/doomed.half" "$work/want2/noise" || fail "it ended too early"
cat <&8 >"$work/got" 2>"$work/err" || grep -q 'Input/output error' "$work/err" || fail "not EIO"
cmp "$work/got" "$work/want2/many/3" 2>&1 | grep -v '^cmp: EOF on .*got' && fail "other bytes"
right=0 errors=0 gone=0
while IFS= read -r -d '' rel; do
	# By the directory that is held: its name in snapshots/ goes when the snapshot does.
	if cat "/proc/self/fd/9/$rel" >"$work/got" 2>"$work/err"; then
		cmp "$work/want2/$rel" "$work/got" || fail "wrong bytes: $rel"
		right=$((right + 1))
	elif grep -q 'Input/output error' "$work/err"; then
		errors=$((errors + 1))
	else
		grep -q 'No such file' "$work/err" || fail "neither bytes nor EIO: $(cat "$work/err")"
		gone=$((gone + 1))
	fi
done < <(cd "$work/want2" && find . -type f -printf '%P\0')
echo "	$right files give their bytes, $errors EIO, $gone are no longer there; open file: $code"
[ -d "/proc/$daemon" ] || fail "the daemon has ended"
[ $((code + errors + gone)) -gt 0 ] || fail "everything is still readable: the test tests nothing"
[ "$(sort "$work/log" | uniq -d | wc -l)" = 0 ] || fail "lines are said twice"
[ $((code + errors)) = 0 ] || [ -s "$work/log" ] || fail "EIO without a line"
lines=$(wc -l <"$work/log")
cat /proc/self/fd/9/noise >/dev/null 2>&1 || true
cat <&6 >/dev/null 2>&1 || true
[ "$(wc -l <"$work/log")" = "$lines" ] || fail "reading it again says it again"
exec 5<&- 6<&- 7<&- 8<&- 9<&-

check "the list is the store's again, and new snapshots appear"
for i in $(seq 100); do
	[ -e "$mnt/snapshots/${names[1]}" ] || break
	sleep 0.1
done
[ ! -e "$mnt/snapshots/${names[1]}" ] || fail "a forgotten snapshot is still listed"
diff -r "$work/want3" "$kept" || fail "a kept snapshot changed"
umount_store
check_store "$MCFS_STORE"
