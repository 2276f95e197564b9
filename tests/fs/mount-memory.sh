# A day's use in minutes: 10,000 opens over 50 snapshots and a directory of many files, and memory
# stays within the cache and 64 MiB; no descriptor per file; what the kernel forgets is forgotten.
. "$(dirname "$0")/lib.sh"
[ -z "${MCFS_SANITIZED:-}" ] || skip "sanitizers need memory of their own"

many=${MCFS_MANY:-30000} cache=32
expect 0 "$MCFS" -s "$MCFS_STORE" init
expect 0 "$MCFS_DEMO_WORLD" create "$work/src/world" --regions 1
for i in $(seq 50); do
	echo "$i" >"$work/src/world/number"
	[ $((i % 10)) != 0 ] ||
		expect 0 "$MCFS_DEMO_WORLD" play "$work/src/world" --minutes 5 --seed "$i"
	expect 0 "$MCFS" snapshot "$work/src"
done
mkdir "$work/src/many"
(cd "$work/src/many" && seq -f 'file-%.0f' "$many" | xargs touch)
expect 0 "$MCFS" snapshot "$work/src"

mount_store --cache-size ${cache}M
rss() {
	awk '/VmHWM/ { print $2 }' "/proc/$daemon/status"
}
most=$(((cache + 64) * 1024))
check "a large directory costs that directory"
[ "$(ls -f "$mnt/snapshots/latest/src/many" | wc -l)" = $((many + 2)) ] || fail "files are missing"
[ "$(counter list)" -lt $((many / 10 + 50)) ] || fail "too many requests"
[ "$(rss)" -lt $most ] || fail "$(rss) KiB for a listing"
check "10,000 opens over 50 snapshots"
expect 0 "$FS_TOOL" opens "$mnt/snapshots" 10000 3
sed 's/^/	/' "$work/stdout"
echo "	peak $(rss) KiB, allowed $most KiB; shelves $(counter shelves)"
[ "$(rss)" -lt $most ] || fail "memory grows: $(rss) KiB"
[ "$(ls "/proc/$daemon/fd" | wc -l)" -lt 32 ] || fail "descriptors grow"
if is_root && echo 2 2>/dev/null >/proc/sys/vm/drop_caches; then
	check "what the kernel forgets is forgotten"
	sleep 1
	[ "$(counter shelves)" -lt 300 ] || fail "$(counter shelves) shelves stay"
fi
log_lines=$(grep -vc counters: "$work/log" || true)
[ "$log_lines" = 0 ] || fail "the daemon complained"
umount_store

if command -v prlimit >/dev/null; then
	check "lack of memory: errors, but the daemon lives and is well again afterwards"
	mount_store --cache-size 512M
	ls "$mnt/snapshots/latest/src/world" >/dev/null
	size=$(awk '/VmSize/ { print $2 * 1024 }' "/proc/$daemon/status")
	for more in 1 4 12; do
		prlimit --pid "$daemon" --as=$((size + more * 1048576)):
		find "$mnt/snapshots/" -name '*.mca' -exec cat {} + >/dev/null 2>"$work/errors" || true
		if grep -vE 'Cannot allocate memory|Input/output error' "$work/errors" | head -n 3 >&2 &&
			[ -n "$(grep -vE 'Cannot allocate memory|Input/output error' "$work/errors")" ]; then
			fail "other errors than those of lacking memory"
		fi
		echo "	$more MiB more: $(wc -l <"$work/errors") errors"
		[ -d "/proc/$daemon" ] || fail "the daemon has ended"
	done
	prlimit --pid "$daemon" --as=unlimited:
	diff -r --no-dereference "$work/src/world" "$mnt/snapshots/latest/src/world" ||
		fail "not well again"
	umount_store
fi
