#!/bin/bash
# A server on the world: it holds the lock as Java does, keeps headers in memory and writes them back whole.
# Refuse refuses, defer waits; afterwards what waited is done, and what was saved meanwhile is kept.
in_memory=yes
. "${0%/*}/lib.sh"
. "${0%/*}/prune-lib.sh"
: "${MCFS_SERVER_STAND_IN:?server_stand_in}"

w=$work/w
"$MCFS_DEMO_WORLD" create "$w" --regions 1 --seed 11 --layout classic
mapfile -t all < <(chunks_of "$w" | awk '$1 == "region" && $7 == "ok" { print $2 }')
file=$(find "$w/region" -name 'r.0.0.mca' -printf 'region/%f')
[ "$file" ] || fail "there is no r.0.0.mca"
mapfile -t here < <(printf '%s\n' "${all[@]}" | awk -F. '$2 >= 0 && $2 < 32 && $3 >= 0 && $3 < 32' | sed -n 1,40p)
[ ${#here[@]} -ge 20 ] || fail "too few chunks"

xz() { # c.X.Z -> X Z
	local IFS=.
	set -- $1
	echo "$2 $3"
}

chunks_of "$w" places >"$work/before.list"
start_server
ask open "$file"

check "refused: exit code 10, nothing is changed, nothing is noted"
expect 10 "$MCFS" prune --world "$w" "${here[@]}"
one_clear_line
says "in use by process $server"
expect 10 "$MCFS" prune --world "$w" --repack
expect 0 "$MCFS" trash list --world "$w"
[ ! -s "$work/stdout" ] || fail "something is in the trash"

check "deferred: noted, not done"
expect 0 "$MCFS" --json prune --world "$w" --when-running defer "${here[@]}"
[ "$(json deferred)" = ${#here[@]} ] || fail "$(json deferred) deferred"
expect 10 "$MCFS" trash apply --world "$w"
one_clear_line
chunks_of "$w" places >"$work/after.list"
equal_lists "$work/before.list" "$work/after.list" "a world in use was changed"

check "the server goes on: it saves two of them, and writes its header back"
ask save $(xz "${here[3]}") 3000
ask save $(xz "${here[7]}") 20000
ask touch
# One is taken back.
expect 0 "$MCFS" trash restore --world "$w" "${here[5]}"
chunks_of "$w" places >"$work/before.list"
"$MCFS" trash apply --world "$w" --watch --interval "1 second" >"$work/watch.out" 2>&1 &
watcher=$!
sleep 1.5
kill -0 "$watcher" || fail "apply --watch did not wait: $(cat "$work/watch.out")"
stop_server

check "it ends: what waited is done, what was saved since is kept"
code=0
wait "$watcher" || code=$?
[ "$code" = 3 ] || fail "apply: exit code $code: $(cat "$work/watch.out")"
grep -q '2 chunks saved since' "$work/watch.out" || fail "the kept ones are not told: $(cat "$work/watch.out")"
printf '%s\n' "${here[@]}" | grep -vxF -e "${here[3]}" -e "${here[7]}" -e "${here[5]}" >"$work/gone.list"
chunks_of "$w" places >"$work/after.list"
awk -v gone="$work/gone.list" 'BEGIN { while ((getline c < gone) > 0) goes[c] = 1 }
	!($1 ~ /^(region|entities|poi)$/ && $2 in goes)' "$work/before.list" >"$work/stays.list"
equal_lists "$work/stays.list" "$work/after.list" "after the server"
expect 0 "$MCFS" --json trash list --world "$w"
[ "$(json items)" = "$(wc -l <"$work/gone.list")" ] || fail "$(json items) items in the trash"
[ "$(json waiting)" = 0 ] || fail "something still waits"

check "back while a server runs: waits; where it made a new chunk, that stays"
start_server
ask open "$file"
expect 0 "$MCFS" --json trash restore --world "$w" --all --when-running defer
ask save $(xz "$(sed -n 1p "$work/gone.list")") 500
stop_server
expect 3 "$MCFS" --json trash apply --world "$w"
[ "$(json occupied)" = 1 ] || fail "$(json occupied) occupied"
expect 0 "$MCFS" --json trash list --world "$w"
[ "$(json items)" = 1 ] || fail "$(json items) items in the trash"
chunks_of "$w" >"$work/now.list"
cut -d' ' -f1-7 "$work/before.list" | grep -v " $(sed -n 1p "$work/gone.list") " >"$work/want.list"
grep -v " $(sed -n 1p "$work/gone.list") " "$work/now.list" >"$work/got.list"
equal_lists "$work/want.list" "$work/got.list" "after the second server"

check "while mcfs writes, a server cannot start"
# A slow prune: stopped in the middle with the lock held.
"$MCFS" prune --world "$w" "${all[@]}" >/dev/null 2>&1 &
pid=$!
for i in $(seq 200); do
	kill -STOP "$pid" 2>/dev/null || break
	if grep -qE "OFDLCK.*WRITE.*:$(stat -c %i "$w/session.lock") " /proc/locks; then
		break
	fi
	kill -CONT "$pid"
	sleep 0.002
done
if grep -qE "OFDLCK.*WRITE.*:$(stat -c %i "$w/session.lock") " /proc/locks; then
	start_server
	grep -q 'already locked' "$work/from" || fail "the server started: $(cat "$work/from")"
	exec 9>&-
	wait "$server" || true
else
	echo "skipped: it was too quick, or /proc/locks shows nothing here"
fi
kill -CONT "$pid" 2>/dev/null || true
wait "$pid" || fail "prune failed"

check "a process without the lock that has region files open for writing"
expect 3 "$MCFS" trash restore --world "$w" --all --replace # the older of two versions stays
exec 7<>"$w/$file"
sleep 30 7>&7 &
holder=$!
exec 7>&-
expect 10 "$MCFS" prune --world "$w" "${here[0]}"
says 'has its region files open'
kill "$holder"
wait "$holder" 2>/dev/null || true
expect 0 "$MCFS" prune --world "$w" "${here[0]}"
