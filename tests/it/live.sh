#!/bin/bash
# A server that writes as fast as it can while snapshots are taken: no chunk is ever torn.
. "${0%/*}/lib.sh"
seconds=${MCFS_LIVE_SECONDS:-8}

live=$work/live
export MCFS_STORE=$work/store
"$MCFS_DEMO_WORLD" create "$live" --regions 1 --seed 11
expect 0 "$MCFS" init

for how in '' --oversized '--rate 200'; do
	check "a writer at work: ${how:-as fast as it can}"
	# shellcheck disable=SC2086
	"$MCFS_DEMO_WORLD" hammer "$live" --seconds "$seconds" --regions 2 $how >/dev/null 2>&1 &
	writer=$!
	taken=0
	sleep 0.5
	while kill -0 "$writer" 2>/dev/null; do
		code=0
		"$MCFS" snapshot "$live" >"$work/stdout" 2>"$work/stderr" || code=$?
		[ "$code" = 0 ] || [ "$code" = 3 ] || { cat "$work/stderr" >&2; fail "exit code $code"; }
		! grep -vE ': (changed while it was read|was replaced|cannot be opened|source)' "$work/stderr" |
			grep -q . || { cat "$work/stderr" >&2; fail "another problem than change"; }
		"$MCFS" -q tag latest "+code-$code" >/dev/null
		taken=$((taken + 1))
	done
	wait "$writer" || fail "the writer failed"
	[ "$taken" -ge 1 ] || fail "no snapshot was taken in time"
	echo "	$taken snapshots"
done
"$MCFS_DEMO_WORLD" verify "$live" >"$work/stdout" 2>&1 || fail "the live world itself is damaged"

# A chunk and its .mcc are two files, which no reader can have at one moment. Where they do not go
# together the snapshot must have said that something changed while it was read.
check "every chunk of every snapshot is whole"
"$MCFS" list | sed -nE 's/^([^ ]+).*\+code-([03]).*/\1 \2/p' >"$work/names"
[ -s "$work/names" ] || fail "no snapshots"
while read -r name code; do
	expect 0 "$MCFS" restore "$name" --to "$work/restored"
	"$MCFS_DEMO_WORLD" verify "$work/restored/live" >"$work/stdout" 2>"$work/stderr" || {
		if [ "$code" = 0 ] || grep -vE 'its .mcc file|no chunk refers to it' "$work/stderr" | grep . >/dev/null; then
			head -n 10 "$work/stderr" >&2
			tail -n 1 "$work/stdout" >&2
			fail "$name (exit code $code) has torn chunks"
		fi
	}
	rm -rf "$work/restored"
done <"$work/names"

check "at rest again a snapshot is exact"
settle
expect 0 "$MCFS" snapshot "$live"
expect 0 "$MCFS" restore latest --to "$work/restored"
same "$live" "$work/restored/live"
check_store "$work/store"
