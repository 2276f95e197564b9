#!/bin/bash
# kill -9 at random moments of a snapshot: older snapshots stay whole and the next run goes on.
#
# MCFS_KILLS: how many times (20).
in_memory=yes
. "${0%/*}/lib.sh"
kills=${MCFS_KILLS:-20}
seed=${MCFS_KILL_SEED:-$RANDOM}
RANDOM=$seed
echo "seed $seed"

live=$work/live
export MCFS_STORE=$work/store
"$MCFS_DEMO_WORLD" create "$live" --regions 1 --seed 3
# Pieces of their own, so that several packs are written.
head -c 3000000 /dev/urandom >"$live/noise"
expect 0 "$MCFS" init
expect 0 "$MCFS" snapshot "$live"
cp -a "$live" "$work/first"
first=$("$MCFS" list | cut -d' ' -f1)

# How long a snapshot takes here; the moments are spread over that time and a little more.
begin=$(date +%s%N)
head -c 20000000 /dev/urandom >"$live/noise"
expect 0 "$MCFS" snapshot "$live"
whole=$((($(date +%s%N) - begin) / 1000000))
echo "a snapshot takes $whole ms"

finished=0
for k in $(seq "$kills"); do
	head -c 20000000 /dev/urandom >"$live/noise"
	[ $((k % 5)) = 0 ] && "$MCFS_DEMO_WORLD" play "$live" --minutes 5 --seed "$k"
	before=$("$MCFS" list | wc -l)
	ms=$((RANDOM % (whole * 5 / 4 + 20)))
	# Its own process group is not needed: mcfs has no children.
	"$MCFS" snapshot "$live" >/dev/null 2>&1 &
	pid=$!
	sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
	kill -9 "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	after=$("$MCFS" list | wc -l)
	[ "$after" = "$before" ] || [ "$after" = $((before + 1)) ] ||
		fail "kill $k after $ms ms: $before snapshots before, $after after"
	finished=$((finished + after - before))
	if [ $((k % 10)) = 0 ]; then
		check "$k kills ($finished snapshots had been finished)"
		check_store "$work/store"
	fi
	# Now and then with the index gone as well.
	[ $((k % 7)) != 0 ] || rm -rf "$MCFS_CACHE_DIR"
done
[ "$finished" -lt "$kills" ] || fail "no kill came in time: nothing was tested"

check "the first snapshot is what it was"
expect 0 "$MCFS" restore "$first" --to "$work/restored" --verify
same "$work/first" "$work/restored/live"
rm -rf "$work/restored"

check "the next snapshot works and is right"
settle
expect 0 "$MCFS" snapshot "$live"
expect 0 "$MCFS" restore latest --to "$work/restored"
same "$live" "$work/restored/live"
check_store "$work/store"
