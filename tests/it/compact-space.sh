#!/bin/bash
# compact where there is hardly room: it frees what is unused first and goes on in steps, or fails with
# one clear line and leaves the store whole; a later run with room finishes.
. "${0%/*}/lib.sh"

mkdir "$work/disk"
is_root && mount -t tmpfs -o size=64m mcfs-test "$work/disk" 2>/dev/null ||
	skip "no small file system: not root, or mounting is not allowed"
mounted=$work/disk
export MCFS_STORE=$work/disk/store
filler=$work/disk/filler

# Each snapshot brings eight files and loses half of those of the one before: every pack becomes half
# unused. In the end one that shares nothing with the rest goes too: its packs are unused altogether.
src=$work/src
mkdir "$src" "$work/other"
expect 0 "$MCFS" init
snapshots=12
for k in $(seq $snapshots); do
	for i in $(seq 8); do
		head -c 110000 /dev/urandom >"$src/$k-$i"
	done
	[ "$k" = 1 ] || rm "$src/$((k - 1))-"[1-4]
	settle
	expect 0 "$MCFS" snapshot "$src"
done
cp -a "$src" "$work/want"
last=$("$MCFS" list | tail -n 1 | cut -d' ' -f1)
head -c 3000000 /dev/urandom >"$work/other/file"
expect 0 "$MCFS" snapshot --tag other "$work/other"
[ "$("$MCFS" list | wc -l)" = $((snapshots + 1)) ] || fail "not all snapshots are there"

free_kib() {
	df --output=avail "$work/disk" | tail -n 1 | tr -d ' '
}
fill_up() { # KIB that stay free
	local free
	rm -f "$filler"
	free=$(free_kib)
	head -c $(((free - $1) * 1024)) /dev/zero >"$filler"
	echo "	$(free_kib) KiB of 65536 are free, the store has $(($(store_bytes "$MCFS_STORE") / 1024))"
}
whole() {
	expect 0 "$MCFS" check --read-data
	expect 0 "$MCFS" restore "$last" --to "$work/out"
	same "$work/want" "$work/out/src"
	rm -rf "$work/out"
}

# run WHAT: with this little room it works, or fails with one line; the store is whole either way.
run() {
	code=0
	"$MCFS" --json compact --grace 0 --max-unused 1% >"$work/stdout" 2>"$work/stderr" || code=$?
	if [ $code != 0 ]; then
		[ $code = 1 ] || fail "exit code $code"
		one_clear_line
		says 'No space left on device'
	fi
	echo "	$1: exit code $code, then $(free_kib) KiB are free: $(tail -n 1 "$work/stderr")"
	whole
}

expect 0 "$MCFS" forget --keep-last 1 --keep-tag other
check "without any room: one line, and nothing is lost"
for free in 0 4 12; do
	fill_up $free
	run "$free KiB"
	[ $free != 0 ] || [ $code = 1 ] || fail "it worked without a byte"
done

check "1 % is free: in steps, to its end"
fill_up 655
run "1 %"
[ $code = 0 ] || fail "1 % was not enough"

check "what is unused makes room for the rest"
expect 0 "$MCFS" forget "$("$MCFS" list | grep other | cut -d' ' -f1)"
fill_up 100
run "100 KiB"
[ $code = 0 ] || fail "unused packs did not go"
[ "$(free_kib)" -gt 2500 ] || fail "3 MB did not come back"

check "with room it finishes"
rm "$filler"
expect 0 "$MCFS" --json compact --grace 0 --max-unused 1%
whole
bytes=$(store_bytes "$MCFS_STORE")
want=$(store_bytes "$work/want")
echo "	$bytes bytes for $want"
[ "$bytes" -lt $((want * 11 / 10)) ] || fail "not all came back"
[ -z "$(ls "$MCFS_STORE/doomed")" ] && [ -z "$(ls "$MCFS_STORE/locks")" ] || fail "something is left"
