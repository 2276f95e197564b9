#!/bin/bash
# A third-party server: while it runs its world is refused; stopped, the world is pruned and partly restored;
# started again, a player walks in and finds pruned chunks made anew, all others as they were.
. "${0%/*}/lib.sh"
here=$(cd "${0%/*}" && pwd)
modules=${MCFS_NODE_MODULES:-${TMPDIR:-/tmp}/mcfs-test-node}
: "${MCFS_REGION_LIST:?region_list}"

command -v node >/dev/null && command -v npm >/dev/null || skip "no Node.js or no npm here"
if [ ! -d "$modules/node_modules/flying-squid" ] || [ ! -d "$modules/node_modules/mineflayer" ]; then
	mkdir -p "$modules"
	(cd "$modules" && timeout 300 npm install --no-audit --no-fund flying-squid mineflayer >"$work/npm" 2>&1) ||
		skip "npm cannot install flying-squid and mineflayer"
fi
export NODE_PATH=$modules/node_modules
port=$((20000 + $$ % 10000))
w=$work/world
mkdir "$w"

start_server() {
	node "$here/live-server/server.js" "$w" "$port" >"$work/server" 2>&1 &
	server=$!
	for _ in $(seq 60); do
		! grep -q 'listening on port' "$work/server" || return 0
		kill -0 "$server" 2>/dev/null || skip "the server does not start: $(tail -n 1 "$work/server")"
		sleep 1
	done
	skip "the server does not start in a minute"
}

stop_server() {
	kill "$server"
	wait "$server" 2>/dev/null || true
}

walk() { # mark|look
	timeout 150 node "$here/live-server/markers.js" "$port" "$1" >"$work/$1.out" 2>&1 ||
		skip "the player does not get in: $(tail -n 1 "$work/$1.out")"
	grep '^chunk ' "$work/$1.out" | sort >"$work/$1.list"
	! grep -q unknown "$work/$1.list" || skip "the server does not send all chunks in time"
}

check "a player marks 25 chunks"
start_server
walk mark
mark=$(awk '{ print $4 }' "$work/mark.list" | sort | uniq -c | sort -rn | awk 'NR == 1 { print $2 }')

check "a server without a lock, with its region files open: refused"
expect 10 "$MCFS" prune --world "$w" c.0.0
one_clear_line
says "process $server"
stop_server

check "started again, nothing done: this server loses a mark now and then by itself"
start_server
walk look
stop_server
mv "$work/look.list" "$work/base.list"
"$MCFS_REGION_LIST" "$w" | cut -d' ' -f1-7 | sort >"$work/before.list"
[ "$(wc -l <"$work/before.list")" -ge 25 ] || skip "the server has not saved its chunks"

check "stopped: every other chunk is pruned, a third of them restored"
awk 'NR % 2 { print "c." $2 "." $3 }' "$work/mark.list" >"$work/pruned.list"
awk 'NR % 3 == 0' "$work/pruned.list" >"$work/restored.list"
grep -vxF -f "$work/restored.list" "$work/pruned.list" >"$work/gone.list"
expect 0 "$MCFS" prune --world "$w" $(cat "$work/pruned.list")
expect 0 "$MCFS" trash restore --world "$w" $(cat "$work/restored.list")
expect 0 "$MCFS" prune --world "$w" --repack
"$MCFS_REGION_LIST" "$w" | cut -d' ' -f1-7 | sort >"$work/after.list"
grep -vF -f <(sed 's/.*/ & /' "$work/gone.list") "$work/before.list" >"$work/want.list"
cmp "$work/want.list" "$work/after.list" || fail "what stayed or came back is another"

check "started again: a player looks"
start_server
walk look
stop_server
join <(awk '{ print $2 "," $3, $4 }' "$work/base.list" | sort) <(awk '{ print $2 "," $3, $4 }' "$work/look.list" | sort) |
	awk -v gone="$work/gone.list" -v mark="$mark" '
	BEGIN { while ((getline c < gone) > 0) goes[c] = 1 }
	{ name = "c." $1; sub(",", ".", name); is_gone = name in goes
	  if (is_gone && $3 == mark) { print "pruned, but its mark is still there:", $0; bad = 1 }
	  if (!is_gone && $2 != $3) { print "it is another:", $0; bad = 1 }
	  n[is_gone]++; marks += !is_gone && $3 == mark }
	END { print "\t" n[1] " made anew, " n[0] " as they were, " marks " of these with their mark"
	      exit bad || !n[1] || marks < 10 }' ||
	fail "the player sees something else"
expect 0 "$MCFS_DEMO_WORLD" verify "$w"
