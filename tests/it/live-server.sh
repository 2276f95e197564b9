#!/bin/bash
# A third-party server and a player who builds, while snapshots are taken: an independent writer of
# region files, whose zlib is not the classic one. npm brings both into a folder beside the build;
# without npm, Node or a registry the test says so and is skipped.
. "${0%/*}/lib.sh"
here=$(cd "${0%/*}" && pwd)
modules=${MCFS_NODE_MODULES:-${TMPDIR:-/tmp}/mcfs-test-node}

command -v node >/dev/null && command -v npm >/dev/null || skip "no Node.js or no npm here"
if [ ! -d "$modules/node_modules/flying-squid" ] || [ ! -d "$modules/node_modules/mineflayer" ]; then
	mkdir -p "$modules"
	(cd "$modules" && timeout 300 npm install --no-audit --no-fund flying-squid mineflayer >"$work/npm" 2>&1) ||
		skip "npm cannot install flying-squid and mineflayer"
fi
export NODE_PATH=$modules/node_modules

port=$((20000 + $$ % 10000))
world=$work/world
export MCFS_STORE=$work/store
mkdir "$world"
expect 0 "$MCFS" init --recompress now
node "$here/live-server/server.js" "$world" "$port" >"$work/server" 2>&1 &
server=$!
for _ in $(seq 60); do
	! grep -q 'listening on port' "$work/server" || break
	kill -0 "$server" 2>/dev/null || skip "the server does not start: $(tail -n 1 "$work/server")"
	sleep 1
done
grep -q 'listening on port' "$work/server" || skip "the server does not start in a minute"

check "snapshots while a player walks and builds"
timeout 60 node "$here/live-server/bot.js" "$port" 30 >"$work/bot" 2>&1 &
player=$!
taken=0
for _ in $(seq 40); do
	[ -d "$world/region" ] && break
	sleep 1
done
[ -d "$world/region" ] || skip "the server writes no world here: $(tail -n 1 "$work/bot")"
while kill -0 "$player" 2>/dev/null; do
	code=0
	"$MCFS" snapshot "$world" >"$work/stdout" 2>"$work/stderr" || code=$?
	[ "$code" = 0 ] || [ "$code" = 3 ] || { cat "$work/stderr" >&2; fail "exit code $code"; }
	taken=$((taken + 1))
	sleep 3
done
wait "$player" || true
kill "$server"
wait "$server" 2>/dev/null || true
settle
expect 0 "$MCFS" snapshot "$world"
echo "	$taken snapshots while it ran"

check "every chunk of every snapshot is whole"
for name in $("$MCFS" list | awk '{print $1}'); do
	expect 0 "$MCFS" restore "$name" --to "$work/restored"
	expect 0 "$MCFS_DEMO_WORLD" verify "$work/restored/world"
	rm -rf "$work/restored"
done
expect 0 "$MCFS" restore latest --to "$work/restored"
same "$world" "$work/restored/world"

check "its chunks are stored inflated: a changed one costs a part of its stream"
added=$("$MCFS" --json list | python3 -c '
import json, sys
print(sum(s["added_bytes"] for s in json.load(sys.stdin)["snapshots"]))')
whole=$(du -sb "$world/region" | cut -f1)
echo "	$added bytes for $((taken + 1)) states of a world of $whole"
[ "$added" -lt "$whole" ] || fail "the store grew by more than the world holds"
check_store "$work/store"
