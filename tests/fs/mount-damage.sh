# A damaged store: EIO and one line that names pack, frame and file; never wrong bytes, never an end
# of the daemon; everything that is not hit still works.
. "$(dirname "$0")/lib.sh"

expect 0 "$MCFS" -s "$MCFS_STORE" init
mkdir -p "$work/good"
head -c 300000 /dev/urandom >"$work/good/file"
expect 0 "$MCFS" snapshot "$work/good"
packs_before=$(find "$MCFS_STORE/packs" -type f | sort)
expect 0 "$MCFS_DEMO_WORLD" create "$work/src/world" --regions 1
head -c 3000000 /dev/urandom >"$work/src/noise"
expect 0 "$MCFS" snapshot "$work/src"
pack=$(comm -13 <(echo "$packs_before") <(find "$MCFS_STORE/packs" -type f | sort) | sed -n 1p)

# Hurt the second half of the pack, but not its footer, which is not needed to read.
size=$(stat -c %s "$pack")
chmod u+w "$pack"
for at in 30 45 55 65; do
	head -c 64 /dev/urandom |
		dd of="$pack" bs=1 seek=$((size * at / 100)) conv=notrunc status=none
done
rm -rf "$work/cache"
mount_store
check "what is hit gives EIO, the rest is right"
errors=0 fine=0
while IFS= read -r -d '' rel; do
	if cat "$mnt/snapshots/latest/src/$rel" >"$work/got" 2>"$work/err"; then
		cmp "$work/src/$rel" "$work/got" || fail "wrong bytes: $rel"
		fine=$((fine + 1))
	else
		grep -q 'Input/output error' "$work/err" || fail "not EIO: $(cat "$work/err")"
		errors=$((errors + 1))
		grep -F "${rel##*/}" "$work/log" | grep -qE 'pack [0-9a-f]{32}, frame [0-9]+' ||
			fail "the log does not name pack, frame and file for '$rel'"
	fi
done < <(cd "$work/src" && find . -type f -printf '%P\0')
echo "	$fine files are fine, $errors give EIO"
[ $errors -gt 0 ] || fail "nothing was hit: the test tests nothing"
[ $fine -gt 0 ] || fail "nothing works any more"
check "one line for each problem"
lines=$(wc -l <"$work/log")
cat "$mnt"/snapshots/latest/src/noise >/dev/null 2>&1 || true
find "$mnt/snapshots/latest/src" -type f -exec cat {} + >/dev/null 2>&1 || true
[ "$(sort "$work/log" | uniq -d | wc -l)" = 0 ] || fail "lines are said twice"
check "the chunk view lists chunks that cannot be read, and gives EIO"
find "$mnt/chunks/latest/" -type f >"$work/listed" 2>/dev/null || true
[ -s "$work/listed" ] || fail "nothing is listed"
check "the other snapshot works"
other=$(ls "$mnt/snapshots" | grep -v latest | sort | sed -n 1p)
cmp "$work/good/file" "$mnt/snapshots/$other/good/file" || fail "the other snapshot is hurt"
check "packs that are gone"
mv "$pack" "$work/pack"
umount_store
rm -f "$work/log"
mount_store
cat "$mnt/snapshots/latest/src/noise" >/dev/null 2>&1 && fail "bytes from nowhere"
[ -d "/proc/$daemon" ] || fail "the daemon has ended"
cmp "$work/good/file" "$mnt/snapshots/$other/good/file" || fail "the other snapshot is hurt"
check "and come back"
mv "$work/pack" "$pack"
cat "$mnt/snapshots/latest/src/noise" >/dev/null 2>&1 || true
umount_store
