#!/bin/bash
# The history of a real world, one moment after the other over one live directory.
in_memory=yes
. "${0%/*}/lib.sh"
. "${0%/*}/history.sh"

worlds=${MCFS_WORLDS:-$MCFS_SOURCE_ROOT/../shared/worlds}
[ -d "$worlds/history" ] || skip "no real worlds here (MCFS_WORLDS)"
for history in "$worlds"/history/*/; do
	check "replay ${history%/}"
	begin_history later
	for state in "$history"*/; do
		rsync -ac --delete "$state" "$live/"
		moment "$moments"
		moments=$((moments + 1))
	done
	end_history
	rm -rf "$work"/{exact,discard,live,moment-*}
done
