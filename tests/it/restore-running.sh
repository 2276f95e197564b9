#!/bin/bash
# A world that a server uses is not restored into, wherever in it the target lies; --into-running does it.
in_memory=yes
. "${0%/*}/lib.sh"
. "${0%/*}/prune-lib.sh"
: "${MCFS_SERVER_STAND_IN:?server_stand_in}"
export MCFS_STORE=$work/store

w=$work/srv/world
"$MCFS_DEMO_WORLD" create "$w" --regions 1 --seed 11 --layout classic >/dev/null
expect 0 "$MCFS" init
expect 0 "$MCFS" snapshot "$w"
echo changed >"$w/level.dat"

refused() { # SNAP:PATH DIR
	expect 10 "$MCFS" restore "$1" --to "$2"
	one_clear_line
	says "the world '$work/srv/world' is in use by process $server"
	[ "$(cat "$w/level.dat")" = changed ] || fail "it was written all the same"
}

start_server
check "refused: the world, a folder of it, one that is not there yet, the folder above"
refused latest:world/ "$w"
refused latest:world/level.dat "$w"
refused latest:world/region "$w"
refused latest:world/region/ "$w/region"
refused latest:world/data "$w/new/deep"
refused latest:world "$work/srv"
refused latest:world/ "$w/region/.."
[ ! -e "$w/new" ] || fail "a folder was made"

check "elsewhere, or only asked"
expect 0 "$MCFS" restore latest:world --to "$work/elsewhere"
expect 0 "$MCFS" restore latest:world/ --to "$w" --dry-run

check "told to"
expect 0 "$MCFS" restore latest:world/level.dat --to "$w" --into-running
[ "$(cat "$w/level.dat")" != changed ] || fail "nothing was written"
stop_server

check "the server has stopped"
expect 0 "$MCFS" restore latest:world --to "$work/srv" --delete
