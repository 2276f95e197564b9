#!/bin/bash
# A full disk: the snapshot fails with one clear line, the store stays valid, and when there is
# room again the next one works. Promise 2.
. "${0%/*}/lib.sh"

mkdir "$work/src"
head -c 3000000 /dev/urandom >"$work/src/first"
mkdir "$work/disk"
export MCFS_STORE=$work/disk/store

run_limited=()
if is_root && mount -t tmpfs -o size=12m mcfs-test "$work/disk" 2>/dev/null; then
	mounted=$work/disk
	echo "on a small file system"
else
	# No mount: a limit on the size of files, as a quota would show. The signal must not kill.
	echo "with a limit on the size of files"
	run_limited=(bash -c 'trap "" XFSZ; ulimit -f 6000; exec "$@"' limited)
fi

fails_for_space() {
	expect 1 "${run_limited[@]}" "$MCFS" snapshot "$work/src"
	one_clear_line
	says 'No space left on device|File too large'
}

check "a snapshot that fits"
expect 0 "$MCFS" init
expect 0 "$MCFS" snapshot "$work/src"
cp -a "$work/src" "$work/first"

check "one that does not: exit code 1, one line"
head -c 30000000 /dev/urandom >"$work/src/second"
fails_for_space
[ "$("$MCFS" list | wc -l)" = 1 ] || fail "half a snapshot is listed"

check "again and again it fails the same way, and takes no more room"
used() {
	du -s "$work/disk" | cut -f1
}
before=$(used)
for i in 1 2 3; do
	fails_for_space
done
[ "$(used)" -le "$((before + 1024))" ] || fail "each failure leaves something: $before KiB, then $(used) KiB"

check "the store is valid and the first snapshot whole"
expect 0 "$MCFS" restore latest --to "$work/restored" --verify
same "$work/first" "$work/restored/src"
check_store "$MCFS_STORE"

check "a full disk at init"
if [ -n "${mounted:-}" ]; then
	dd if=/dev/zero of="$work/disk/filler" bs=4096 2>/dev/null || true
	expect 1 "$MCFS" -s "$work/disk/other" init
	one_clear_line
	expect 0 "$MCFS" list # reading needs no room
	rm "$work/disk/filler"
fi

check "with room again the next snapshot works"
rm "$work/src/second"
echo more >"$work/src/third"
settle
expect 0 "$MCFS" snapshot "$work/src"
rm -rf "$work/restored"
expect 0 "$MCFS" restore latest --to "$work/restored"
same "$work/src" "$work/restored/src"
check_store "$MCFS_STORE"

check "a cache that cannot be written costs speed, not the snapshot"
if is_root && [ -n "${mounted:-}" ]; then
	dd if=/dev/zero of="$work/disk/filler" bs=4096 2>/dev/null || true
	export MCFS_CACHE_DIR=$work/disk/cache
	expect 0 "$MCFS" -s "$work/disk/store" list
	expect 0 "$MCFS" restore latest:src/third --to "$work/small"
	rm "$work/disk/filler"
fi
