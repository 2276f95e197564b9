#!/bin/bash
# The main job on the demo world: create, play, snapshot, and back to each moment.
in_memory=yes
. "${0%/*}/lib.sh"
. "${0%/*}/history.sh"

for layout in classic 26.1; do
	when=now
	[ "$layout" = classic ] || when=later
	check "layout $layout, new chunks inflated $when: create and play"
	begin_history "$when"
	"$MCFS_DEMO_WORLD" create "$live" --regions 1 --layout "$layout" --seed 7
	moment 0
	plays='1 2 3'
	[ "$layout" = classic ] || plays=1
	for moments in $plays; do
		"$MCFS_DEMO_WORLD" play "$live" --minutes 10 --seed "$moments"
		moment "$moments"
	done
	moments=$((moments + 1))
	"$MCFS_DEMO_WORLD" verify "$live" >/dev/null
	end_history

	# With 'later' the second snapshot inflates what changed and what it was before.
	if [ "$when" = now ]; then
		check "only what changed is added"
		first=$("$MCFS" -s "$work/exact" --json list | grep -oE '"added_bytes":[0-9]+' | sed -n 1p | cut -d: -f2)
		last=$("$MCFS" -s "$work/exact" --json list | grep -oE '"added_bytes":[0-9]+' | tail -n 1 | cut -d: -f2)
		[ "$last" -gt 0 ] && [ "$last" -lt $((first / 2)) ] || fail "first $first bytes, last $last bytes"
	fi
	rm -rf "$work"/{exact,discard,live,moment-*}
done
