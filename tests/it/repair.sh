#!/bin/bash
# check --repair keeps what can be kept, tells what cannot, and later snapshots heal it.
. "${0%/*}/lib.sh"

"$MCFS_DEMO_WORLD" create "$work/world" --regions 1 --seed 7
mkdir "$work/live"
cp -a "$work/world/level.dat" "$work/world"/DIM1/region/*.mca "$work/world"/stats "$work/live/"
head -c 2000000 /dev/urandom >"$work/live/noise"
expect 0 "$MCFS" -s "$work/good" init
expect 0 "$MCFS" -s "$work/good" --json snapshot "$work/live"
first=$(json name)
"$MCFS_DEMO_WORLD" play "$work/world" --minutes 5
cp -a "$work/world"/DIM1/region/*.mca "$work/live/"
settle
expect 0 "$MCFS" -s "$work/good" snapshot "$work/live"
export MCFS_STORE=$work/store

# Sanitized programs are slow: fewer of the same.
caches="with without"
kills=${MCFS_KILLS:-3}
if [ "${MCFS_SANITIZED:-}" ]; then
	caches=without
	kills=${MCFS_KILLS:-1}
fi

fresh() {
	rm -rf "$work/store" "$MCFS_CACHE_DIR" "$MCFS_STATE_DIR" "$work/got"
	cp -a "$work/good" "$work/store"
}
write_at() { # FILE OFFSET BYTES-OF-NOISE
	dd if=/dev/urandom of="$1" bs=1 seek="$2" count="$3" conv=notrunc 2>/dev/null
}
largest_pack() {
	find "$MCFS_STORE/packs" -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d' ' -f2
}
# What is restored is right, and only what check named is not there.
nothing_wrong() {
	[ -d "$work/got/live" ] || return 0 # the root itself may be what was lost
	(cd "$work/got/live" && find . -type f -print0) | while IFS= read -r -d '' f; do
		cmp -s "$work/live/$f" "$work/got/live/$f" || fail "'$f' was restored wrong"
	done
}
# After the repair: sound but for known losses; and whole after the next snapshot.
heals() {
	expect "$1" "$MCFS" check --read-data
	says 'no damage'
	local code=0
	"$MCFS" restore latest --to "$work/got" >"$work/stdout" 2>"$work/stderr" || code=$?
	[ "$code" = 0 ] || [ "$code" = 3 ] || fail "restore: exit code $code"
	nothing_wrong
	expect 0 "$MCFS" snapshot "$work/live"
	rm -rf "$work/got"
	expect 0 "$MCFS" restore latest --to "$work/got"
	same "$work/live" "$work/got/live"
}

check "nothing to repair: nothing changes"
fresh
find "$MCFS_STORE" -type f -exec sha256sum {} + | sort >"$work/before"
expect 0 "$MCFS" check --repair
says 'the store is sound'
find "$MCFS_STORE" -type f -exec sha256sum {} + | sort >"$work/after"
diff "$work/before" "$work/after" >/dev/null || fail "something changed"

check "a frame is damaged: the others are kept, its files are named (exit 3), and healed"
fresh
pack=$(largest_pack)
write_at "$pack" 20000 40
expect 12 "$MCFS" check --read-data
expect 3 "$MCFS" check --repair
says '1 dropped'
[ ! -e "$pack" ] || fail "the damaged pack is there still"
expect 3 "$MCFS" check
says 'known to be damaged since a repair'
heals 3

check "a pack cut in half, one without a footer, one that is gone"
fresh
pack=$(largest_pack)
truncate -s $(($(stat -c %s "$pack") / 2)) "$pack"
expect 3 "$MCFS" check --repair
heals 3
fresh
pack=$(largest_pack)
truncate -s -10 "$pack"
expect 0 "$MCFS" check --repair
says ' 0 dropped'
heals 0
fresh
rm "$(largest_pack)"
expect 3 "$MCFS" check --repair
heals 3

check "index objects damaged and gone, with and without a cache"
for cache in $caches; do
	fresh
	[ "$cache" = without ] || expect 0 "$MCFS" list
	for f in "$MCFS_STORE"/index/*; do
		write_at "$f" 60 8
	done
	expect 0 "$MCFS" check --repair
	heals 0
	fresh
	[ "$cache" = without ] || expect 0 "$MCFS" list
	rm "$MCFS_STORE"/index/*
	expect 0 "$MCFS" check --repair
	heals 0
done

check "a snapshot object is damaged: put aside, and latest works again"
fresh
id=$("$MCFS" --json list | grep -o '"id":"[0-9a-f]*"' | tail -n 1 | cut -d'"' -f4)
write_at "$MCFS_STORE/snapshots/$id" 80 4
expect 12 "$MCFS" restore latest --to "$work/got"
expect 0 "$MCFS" check --repair
[ -e "$MCFS_STORE/damaged/$id" ] || fail "its bytes are gone"
expect 0 "$MCFS" info latest
says "$first"

check "the newest snapshot was removed: only this machine's memory knows, repair cannot, and one accepts it"
fresh
expect 0 "$MCFS" list
id=$("$MCFS" --json list | grep -o '"id":"[0-9a-f]*"' | tail -n 1 | cut -d'"' -f4)
rm "$MCFS_STORE/snapshots/$id"
for how in "" --repair; do
	expect 12 "$MCFS" check $how
	says 'snapshots: the store.s newest snapshot is number [0-9]+, but this machine has seen'
done
expect 12 "$MCFS" list
expect 0 "$MCFS" --accept-rollback check --repair
expect 0 "$MCFS" check
expect 0 "$MCFS" list

check "a snapshot that was removed and not forgotten is noticed, put on record by repair, and no more told"
fresh
id=$("$MCFS" --json info "$first" | grep -o '"id":"[0-9a-f]*"' | cut -d'"' -f4)
rm "$MCFS_STORE/snapshots/$id"
expect 0 "$MCFS" list
expect 12 "$MCFS" check
says 'nobody forgot it'
expect 0 "$MCFS" check --repair
expect 0 "$MCFS" check

check "killed at any time: repairing again ends well"
for i in $(seq 1 "$kills"); do
	fresh
	write_at "$(largest_pack)" $((RANDOM * 9)) 40
	"$MCFS" -q check --repair >/dev/null 2>&1 &
	pid=$!
	sleep "0.0$((RANDOM % 10))$((RANDOM % 10))"
	kill -9 "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	code=0
	"$MCFS" check --repair >"$work/stdout" 2>"$work/stderr" || code=$?
	[ "$code" = 0 ] || [ "$code" = 3 ] || fail "exit code $code"
	heals "$code"
done

check "with parity: what is within the share comes back to the bit; beyond it as without"
rm -rf "$work/plain"
mv "$work/good" "$work/plain"
cp -a "$work/plain" "$work/good"
rm -rf "$MCFS_STATE_DIR" # it knows of snapshots that were made in copies
expect 2 "$MCFS" -s "$work/good" parity add 60%
expect 0 "$MCFS" -s "$work/good" parity add 5%
expect 0 "$MCFS" -s "$work/good" check --read-data
for how in flip zero cut; do
	fresh
	pack=$(largest_pack)
	size=$(stat -c %s "$pack")
	sum=$(sha256sum <"$pack")
	case $how in
	flip) write_at "$pack" $((size / 3)) 50 ;;
	zero) dd if=/dev/zero of="$pack" bs=1 seek=$((size / 2)) count=$((size / 25)) conv=notrunc 2>/dev/null ;;
	cut) truncate -s -$((size / 25)) "$pack" ;;
	esac
	expect 12 "$MCFS" check --read-data
	expect 0 "$MCFS" check --repair
	says 'restored by parity'
	[ "$(sha256sum <"$pack")" = "$sum" ] || fail "$how: the pack is not what it was"
	heals 0
done
fresh
pack=$(largest_pack)
dd if=/dev/zero of="$pack" bs=4096 seek=20 count=$(($(stat -c %s "$pack") / 12288)) conv=notrunc 2>/dev/null
expect 3 "$MCFS" check --repair
says 'frames? dropped'
[ "$(find "$MCFS_STORE/parity" -type f | wc -l)" = "$(find "$MCFS_STORE/packs" -type f | wc -l)" ] ||
	fail "not one parity object a pack"
heals 3
check "with parity: a snapshot object has two copies, so that no flipped byte or lost page takes it away"
for how in 'flip 0' 'flip last' 'page 0' 'page last'; do
	fresh
	object=$(find "$MCFS_STORE/snapshots" -type f | sort | sed -n 1p)
	size=$(stat -c %s "$object")
	case $how in
	'flip 0') write_at "$object" 60 1 ;;
	'flip last') write_at "$object" $((size - 60)) 1 ;;
	'page 0') write_at "$object" 0 4096 ;;
	'page last') write_at "$object" $((size / 4096 * 4096)) $((size % 4096)) ;;
	esac
	expect 12 "$MCFS" check
	says 'one of its two copies is damaged'
	expect 0 "$MCFS" list
	[ "$(wc -l <"$work/stdout")" = "$(find "$MCFS_STORE/snapshots" -type f | wc -l)" ] || fail "$how: a snapshot is missing"
	expect 0 "$MCFS" check --repair
	says 'written anew from its other copy'
	expect 0 "$MCFS" check --read-data
done

check "compact works beside known losses, and takes the parity of what it removes along"
fresh
dd if=/dev/zero of="$(largest_pack)" bs=4096 seek=20 count=200 conv=notrunc 2>/dev/null
expect 3 "$MCFS" check --repair
expect 0 "$MCFS" forget --keep-last 1
expect 0 "$MCFS" compact --grace 0s
expect 3 "$MCFS" check --read-data
says 'no damage'
[ "$(find "$MCFS_STORE/parity" -type f | wc -l)" = "$(find "$MCFS_STORE/packs" -type f | wc -l)" ] ||
	fail "not one parity object a pack"

check "damaged parity is noticed and made anew; new packs have it; it can be removed"
fresh
par=$(find "$MCFS_STORE/parity" -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)
write_at "$par" $(($(stat -c %s "$par") / 2)) 9
expect 12 "$MCFS" check --read-data
expect 0 "$MCFS" check --repair
expect 0 "$MCFS" check --read-data
expect 0 "$MCFS" parity remove
[ -z "$(find "$MCFS_STORE/parity" -type f)" ] || fail "some parity is left"
expect 0 "$MCFS" -s "$work/born" init --parity 10%
expect 0 "$MCFS" -s "$work/born" snapshot "$work/live"
[ -n "$(find "$work/born/parity" -type f)" ] || fail "no parity from the beginning"
rm -rf "$work/good"
mv "$work/plain" "$work/good"

check "reading a part each time reads all in the end"
fresh
for i in 1 2 3 4 5 6 7 8; do
	head -c 400000 /dev/urandom >"$work/live/noise.$i"
	expect 0 "$MCFS" -q snapshot "$work/live"
done
packs=$(find "$MCFS_STORE/packs" -type f | wc -l)
expect 2 "$MCFS" check --read-data-subset 0%
expect 2 "$MCFS" check --read-data-subset 4/3
for i in 1 2 3 4; do
	expect 0 "$MCFS" check --read-data-subset 25%
done
if grep -Eq 'w(as|ere) not read by any check yet' "$work/stdout"; then fail "some are left after four times a quarter"; fi
[ "$(wc -l <"$(find "$MCFS_STATE_DIR" -name checked)")" = "$packs" ] || fail "not all packs are remembered"
read=0
for i in 1 2 3; do
	expect 0 "$MCFS" --json check --read-data-subset $i/3
	read=$((read + $(json read_packs)))
done
[ "$read" = "$packs" ] || fail "three thirds are $read of $packs packs"
