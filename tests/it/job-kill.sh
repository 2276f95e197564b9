		for p in $all; do
			while kill -0 "$p" 2>/dev/null; do
				sleep 0.01
			done
		done
#!/bin/bash
# A server's saving is turned on again whatever happens to the job: killed at random moments, by itself (the guard
# turns saving on at once) or with all its processes (the next run does).
#
# MCFS_KILLS: how many kills (20); MCFS_KILL_SEED: for the same moments again.
. "${0%/*}/lib.sh"
. "${0%/*}/job-lib.sh"
kills=${MCFS_KILLS:-20}
RANDOM=${MCFS_KILL_SEED:-$$}
echo "seed ${MCFS_KILL_SEED:-$$}, $kills kills"

mkdir "$work/world"
head -c 300000 /dev/urandom >"$work/world/level.dat"
start_console 60
configure <<END
rcon: {port: $rcon_port, password: secret}
skip_actions: [check, compact]
END
expect 0 job --init

is_on() { # the last of save-off and save-on
	[ "$(grep -E '^save-o(n|ff)$' "$work/console" | tail -n 1)" = save-on ]
}

# All processes below one: the guard is in a session of its own.
family() { # PID
	local child
	echo "$1"
	for child in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do
		family "$child"
	done
}

off=0 by_guard=0 by_next=0
for i in $(seq "$kills"); do
	head -c 20000 /dev/urandom >"$work/world/changes"
	"$MCFS_SNAPSHOT" --config "$work/backup.yaml" --cron >"$work/out" 2>&1 &
	pid=$!
	sleep "0.$(printf %03d $((RANDOM % ${MCFS_SANITIZED:+2}350)))"
	if [ $((i % 2)) = 0 ]; then
		# Stop them first, so that none can act on the death of another.
		all=$(family "$pid")
		kill -STOP $all 2>/dev/null || true
		all="$all $(family "$pid")"
		kill -KILL $all 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
		is_on || off=$((off + 1))
		# One that was forked just then may have been missed, and holds the lock for a moment.
		for _ in $(seq 50); do
			ended=0
			"$MCFS_SNAPSHOT" --config "$work/backup.yaml" --save-on >"$work/out" 2>&1 || ended=$?
			[ "$ended" = 10 ] || break
			sleep 0.1
		done
		[ "$ended" = 0 ] || { cat "$work/out" >&2; fail "kill $i: --save-on ends with $ended"; }
		is_on || fail "kill $i of all: saving is off after the next run"
		by_next=$((by_next + 1))
	else
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
		is_on || off=$((off + 1))
		for _ in $(seq 100); do
			is_on && [ -z "$(ls "$work/state/saving-off" | grep -v '\.tmp$')" ] && break
			sleep 0.05
		done
		is_on || fail "kill $i of the job alone: saving is off 5 s later"
		by_guard=$((by_guard + 1))
	fi
	[ -z "$(ls "$work/state/saving-off" | grep -v '\.tmp$')" ] || fail "kill $i: a record is left"
done
echo "$off of $kills kills came while saving was off; $by_guard left to the guard, $by_next to the next run"
[ "$kills" -lt 20 ] || [ "$off" -gt 0 ] || fail "no kill came while saving was off: this tests nothing"

check "the store is sound, and a run goes through"
expect 0 job
is_on || fail "saving is off"
check_store "$work/store"
