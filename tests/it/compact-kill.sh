#!/bin/bash
# kill -9 at random moments of compact: every snapshot stays whole, and the next run goes on.
#
# MCFS_KILLS: how many times (15; 10 under a sanitizer).
in_memory=yes
. "${0%/*}/lib.sh"
kills=${MCFS_KILLS:-${MCFS_SANITIZED:+10}}
kills=${kills:-15}
seed=${MCFS_KILL_SEED:-$RANDOM}
RANDOM=$seed
echo "seed $seed"

live=$work/live
export MCFS_STORE=$work/store
"$MCFS_DEMO_WORLD" create "$live" --regions 1 --seed 3
expect 0 "$MCFS" init
expect 0 "$MCFS" snapshot --tag first "$live"
cp -a "$live" "$work/first"
first=$("$MCFS" list | cut -d' ' -f1)
RANDOM=$seed
# Of this each version is a difference against the one before, until compact stores one whole.
drift() { # K
	dd if=/dev/urandom of="$live/drift" bs=100k seek=$(($1 % 4)) count=1 iflag=fullblock conv=notrunc status=none
}
head -c 400k /dev/urandom >"$live/drift"
killed=0
for k in $(seq "$kills"); do
	head -c 6000000 /dev/urandom >"$live/noise"
	drift "$k"
	"$MCFS_DEMO_WORLD" play "$live" --minutes 3 --seed "$k"
	settle
	expect 0 "$MCFS" snapshot "$live"
	rm -rf "$work/last"
	cp -a "$live" "$work/last"
	last=$("$MCFS" list | tail -n 1 | cut -d' ' -f1)
	expect 0 "$MCFS" forget --keep-last 2 --keep-tag first
	begun=$(date +%s%3N)
	"$MCFS" compact --grace 0 --max-unused 1% >/dev/null 2>&1 &
	pid=$!
	if [ "$k" = 1 ]; then # how long is one that nobody kills?
		wait "$pid"
		within=$(($(date +%s%3N) - begun))
	else
		ms=$((RANDOM % (2 * within) + 1)) # later ones have more to do
		sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
		kill -9 "$pid" 2>/dev/null && killed=$((killed + 1))
		wait "$pid" 2>/dev/null || true
	fi
	[ $((k % 4)) != 0 ] || rm -rf "$MCFS_CACHE_DIR"
	expect 0 "$MCFS" check
	if [ $((k % 5)) = 0 ]; then
		check "$k runs, $killed kills in $within ms"
		expect 0 "$MCFS" check --read-data
		expect 0 "$MCFS" restore "$last" --to "$work/out"
		same "$work/last" "$work/out/live"
		rm -rf "$work/out"
	fi
done
[ "$killed" -gt 0 ] || fail "no kill came in time: nothing was tested"

check "a run to the end leaves nothing behind and everything readable"
head -c 400k /dev/urandom >"$live/drift" # a chain that begins here, wherever the last kill was
for k in 1 2 3 4 5 6 7 8; do
	settle
	expect 0 "$MCFS" snapshot "$live"
	drift "$k"
done
settle
expect 0 "$MCFS" snapshot "$live"
cp -a "$live/drift" "$work/drift"
expect 0 "$MCFS" forget --keep-last 1 --keep-tag first
# What the kills have left may go first: then it is the next run that finds it pays.
for run in 1 2 3; do
	expect 0 "$MCFS" --json compact --grace 0 --max-unused 1%
	[ "$(json rekeyed_blobs)" = 0 ] || break
done
[ "$(json rekeyed_blobs)" -gt 0 ] || fail "nothing was stored anew"
expect 0 "$MCFS" cat latest:live/drift
cmp "$work/stdout" "$work/drift" || fail "a file that was stored anew came out wrong"
[ -z "$(ls "$MCFS_STORE/locks")" ] && [ -z "$(ls "$MCFS_STORE/doomed")" ] || fail "something is left"
check_store "$MCFS_STORE"
expect 0 "$MCFS" restore "$first" --to "$work/out"
same "$work/first" "$work/out/live"
size=$(store_bytes "$MCFS_STORE")
[ "$size" -lt 45000000 ] || fail "$size bytes for two snapshots: space is not reclaimed"
