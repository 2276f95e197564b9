#!/bin/bash
# mcfs-scheduler with real processes: a day in fast-forward, time-outs, signals, crashes, status.
. "${0%/*}/lib.sh"
: "${MCFS_SCHEDULER:?the mcfs-scheduler to test}" "${MCFS_NOTIFY:?the mcfs-notify to test}"
ini=$work/schedule.ini
log=$work/log
export MCFS_SCHEDULE=$ini

sched() { # CODE ARG..
	local code=$1
	shift
	expect "$code" "$MCFS_SCHEDULER" "$@"
}

log_says() {
	grep -qE -e "$1" "$log" && return
	tail -n 40 "$log" >&2
	fail "the log does not say '$1'"
}

# wait_for WORDS: until the log says it
wait_for() {
	for _ in $(seq 200); do
		! grep -qE -e "$1" "$log" || return 0
		sleep 0.05
	done
	tail -n 40 "$log" >&2
	fail "the log never says '$1'"
}

serve() { # ARG..: in the background; its number in $daemon
	: >"$log"
	"$MCFS_SCHEDULER" "$@" serve >>"$log" 2>&1 &
	daemon=$!
}

ends() { # CODE
	local code=0
	wait "$daemon" || code=$?
	! grep -qE 'Sanitizer|runtime error:' "$log" || { cat "$log" >&2; fail "a sanitizer complains"; }
	[ "$code" = "$1" ] || { tail -n 40 "$log" >&2; fail "exit code $code instead of $1"; }
}

# The numbers of processes with these very arguments (no pgrep in a bare system).
processes_of() { # ARG..
	local dir args
	for dir in /proc/[0-9]*; do
		args=$({ tr '\0' ' ' <"$dir/cmdline"; } 2>/dev/null) || continue
		[ "$args" != "$* " ] || echo "${dir#/proc/}"
	done
}

check "Ofelia's file as it is, and a day of it"
mkdir "$work/bin"
# What stands where docker would: it says what it was asked for, and notices overlap.
cat >"$work/bin/docker" <<'END'
#!/bin/sh
echo "docker $*"
END
cat >"$work/bin/mcfs-snapshot" <<'END'
#!/bin/sh
mkdir "$BUSY" || { echo OVERLAP; exit 1; }
echo "snapshot $*"
rmdir "$BUSY"
END
chmod +x "$work/bin/"*
export PATH=$work/bin:$PATH BUSY=$work/busy
cp "$MCFS_SOURCE_ROOT/tests/examples/ofelia-config.ini" "$ini"
theirs=$MCFS_SOURCE_ROOT/../shared/examples/ofelia-config.ini
if [ -f "$theirs" ]; then
	sched 0 validate "$theirs"
	cmp "$ini" "$theirs" || fail "the example has changed"
fi
sched 0 validate
says '3 jobs, no errors'
# Sunday 29 March 2026, when the clock in Berlin goes from 2 to 3.
export TZ=Europe/Berlin
sched 0 --now 2026-03-29T00:00:00+01:00 list
says 'borgmatic-backup .* next 2026-03-29T03:00:00\+02:00'
serve --now 2026-03-29T00:00:00+01:00 --until 2026-03-29T23:59:59+02:00
ends 0
log_says '^2026-03-29T03:00:00\+02:00 \[job "borgmatic-backup"\] started$'
log_says '^2026-03-29T03:00:00\+02:00 \[job "borgmatic-backup"\] \| docker exec borgmatic /scripts/backup.sh$'
log_says '^2026-03-29T03:00:00\+02:00 \[job "mcaselector-cleanup"\] \| docker exec mcaselector /scripts/delete-chunks.sh$'
[ "$(grep -c '"snapshot"\] started' "$log")" = 15 ] || fail "23 hours hold 15 times 1h30m"
[ "$(grep -c '"snapshot"\] finished ok' "$log")" = 15 ] || fail "each of them ends"
[ "$(grep -c '\] started' "$log")" = 17 ] || fail "something else was started"
! grep -qE 'OVERLAP|ERROR|WARN' "$log" || fail "something went wrong that day"
export TZ=UTC

check "a day of jobs that fail, overlap, wait for each other and for a world"
export MCFS_STATE_DIR=$work/state2
cat >"$work/bin/slow" <<'END'
#!/bin/sh
mkdir "$BUSY" || { echo OVERLAP; exit 1; }
sleep 0.1
rmdir "$BUSY"
END
chmod +x "$work/bin/slow"
cat >"$ini" <<'END'
[job-local "slow"]
schedule = 0 */6 * * *
command = slow
world = survival
[job-local "other"]
schedule = 0 */6 * * *
command = slow
world = survival
[job-local "after"]
depends-on = slow, other
command = echo 'it is done'
[job-local "often"]
schedule = */10 6 * * *
command = sleep 0.6
END
# "often" takes 0.6 s of 1800: 18 minutes of made-up time; every second due time finds it running.
serve --now 2026-06-01T00:00:00Z --until 2026-06-01T23:59:00Z --scale 1800
ends 0
[ "$(grep -c '"slow"\] started' "$log")" = 4 ] || fail "slow: not four times"
[ "$(grep -c '"other"\] finished ok' "$log")" = 4 ] || fail "other: not four times"
[ "$(grep -c '"after"\] finished ok' "$log")" = 4 ] || fail "after: not four times"
! grep -q OVERLAP "$log" || fail "two jobs of one world at once"
log_says '"other"\] waits: job "slow" uses world "survival"'
log_says '"often"\] skipped: its last run is still on its way'
sched 0 --json history -n 400
grep -q '"job":"after","due":"2026-06-01' "$work/stdout" || fail "no JSON history"

check "failures are logged, told, tried again, and touch no other job"
export HOOKED=$work/hooked
cat >"$ini" <<'END'
[job-local "fails"]
schedule = 0 */12 * * *
command = sh -c 'echo why; exit 7'
retries = 1
retry-delay = 1m
on-failure = sh -c 'echo "$MCFS_JOB $MCFS_RESULT $MCFS_EXIT_CODE $MCFS_MESSAGE $MCFS_OUTPUT" >>"$HOOKED"'
[job-local "missing"]
schedule = 30 5 * * *
command = no-such-program
[job-local "fine"]
schedule = 30 * * * *
command = true
END
serve --now 2026-06-02T00:00:00Z --until 2026-06-02T23:59:00Z
ends 0
[ "$(grep -c '"fine"\] finished ok' "$log")" = 24 ] || fail "fine: not 24 times"
log_says '^2026-06-02T12:..:..\+00:00 WARN \[job "fails"\] failed: exit code 7 after .* try 2 of 2'
log_says 'ERROR \[job "fails"\] failed: exit code 7'
log_says 'ERROR \[job "missing"\] failed: start .no-such-program.: No such file'
grep -qE '^fails failed 7 failed: exit code 7 after .* why$' "$HOOKED" || fail "the hook: $(cat "$HOOKED")"
[ "$(grep -c "^fails" "$HOOKED")" = 2 ] || fail "the hook is for the last try only"
sched 0 history fails -n 3
says '^2026-06-02T12:.* failed +fails \(try 2\): failed: exit code 7'

check "a time-out ends the whole group"
export MCFS_STATE_DIR=$work/state3
cat >"$ini" <<'END'
[global]
kill-after = 300ms
[job-local "tree"]
schedule = @yearly
timeout = 500ms
command = sh -c 'trap "" TERM; sleep 97531 & sleep 97531 & wait; wait'
[job-local "orphan"]
schedule = @yearly
timeout = 500ms
command = sh -c '(trap "" TERM; sleep 97532; sleep 97532) & wait'
[job-local "ok"]
schedule = @yearly
command = printf 'a\033[31mb\nc\n'
END
sched 1 run tree
says 'takes too long: told to end'
says 'does not end: killed'
says 'failed: timed out after 0.5 s'
[ -z "$(processes_of sleep 97531)" ] || fail "something of the group still runs"
sched 1 run orphan # the shell obeys at once, what it started does not
says 'does not end: killed'
[ -z "$(processes_of sleep 97532)" ] || fail "what the shell left still runs"

check "run: exit codes, output that cannot speak to the terminal"
sched 0 run ok
says '\| a\\x1b\[31mb$'
says '\| c$'
sched 1 run nothing
says '^mcfs-scheduler: there is no job "nothing"'
sched 2 walk
sched 2 --now yesterday list
sched 2 --until 2026-01-01T00:00:00Z list
sched 1 --config "$work/none.ini" list

check "errors of the file have their line"
for line in 'comand = x' 'timeout = soon' 'container = x'; do
	printf '[job-local "a"]\nschedule = @daily\ncommand = true\n%s\n' "$line" >"$work/bad.ini"
	sched 2 validate "$work/bad.ini"
	says 'bad.ini: line 4: '
done
printf '[job-local "a"]\nschedule = 0 25 * * *\ncommand = true\n' >"$work/bad.ini"
sched 2 validate "$work/bad.ini"
says 'bad.ini: line 2: job "a": schedule .0 25 [^:]*: .25. as hour: only 0 to 23'
printf '[global]\nsave-folder = /x\n[job-local "a"]\nschedule = @daily\ncommand = true\n' >"$work/bad.ini"
sched 0 validate "$work/bad.ini"
says 'line 2: .save-folder. has no meaning here: the output is in the log'

check "serve: status, reload, only one, memory, SIGTERM"
port=$((20000 + $$ % 20000))
export MCFS_STATE_DIR=$work/state4
config() { # EXTRA LINES FOR THE JOB
	cat >"$ini" <<END
[global]
status-port = $port
status-file = $work/mcfs.prom
kill-after = 2s
[job-local "sleeper"]
schedule = * * * * * *
command = sleep 86421
$1
END
}
config ''
serve
wait_for '"sleeper"\] started'
sched 0 status
says '"name":"sleeper","kind":"job-local","schedule":"\* \* \* \* \* \*","state":"running"'
sched 0 status --metrics
says '^mcfs_job_running\{job="sleeper"\} 1$'
says '^mcfs_scheduler_config_ok 1$'
exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n' >&3
grep -q '403 Forbidden' <&3 || fail "another site's page may read the status"
exec 3>&-
sched 10 serve
says 'another mcfs-scheduler serves with the state in'
config 'comand = x'
kill -HUP "$daemon"
wait_for 'not reloaded, the old schedule goes on: .* line 8: there is no key .comand.'
sched 2 status
sched 0 status "$port"
says '"reload_failed":true'
config 'timeout = 1h'
kill -HUP "$daemon"
wait_for 'reloaded .* 1 job'
if [ -z "${MCFS_SANITIZED:-}" ]; then
	rss=$(awk '/VmRSS/ { print $2 }' "/proc/$daemon/status")
	echo "	$rss KiB of memory"
	[ "$rss" -lt 8192 ] || fail "the scheduler takes $rss KiB"
fi
kill "$daemon"
ends 0
log_says '\[job "sleeper"\] interrupted after .*: the scheduler stops'
[ -z "$(processes_of sleep 86421)" ] || fail "the job outlives the scheduler"
grep -q '^mcfs_job_running{job="sleeper"} 0' "$work/mcfs.prom" || fail "no status file"
sched 1 status
says "no scheduler answers on 127.0.0.1:$port"

check "a busy scheduler hears signals as well"
export MCFS_STATE_DIR=$work/state8
for i in $(seq 60); do
	printf '[job-local "j%s"]\nschedule = * * * * * *\ncommand = yes "a line of output"\n' "$i"
done >"$ini"
serve -q
for _ in $(seq 100); do
	[ -z "$(processes_of yes 'a line of output')" ] || break
	sleep 0.1
done
kill "$daemon"
for _ in $(seq 300); do
	kill -0 "$daemon" 2>/dev/null || break
	sleep 0.1
done
! kill -0 "$daemon" 2>/dev/null || { kill -9 "$daemon"; fail "SIGTERM is not heard"; }
ends 0
export MCFS_STATE_DIR=$work/state4

check "SIGTERM that waits for the job"
cat >"$ini" <<'END'
[global]
on-stop = wait
[job-local "short"]
schedule = * * * * * *
command = sleep 0.7
END
serve
wait_for '"short"\] started'
kill "$daemon"
ends 0
log_says '"short"\] finished ok'

check "killed in the middle: made up for at the next start"
export MCFS_STATE_DIR=$work/state5
cat >"$ini" <<'END'
[job-local "long"]
schedule = * * * * * *
command = sleep 64208
catch-up = true
END
serve
wait_for '"long"\] started'
sleep 1.2 # meanwhile a due time is skipped, which must not hide that this run was cut off
{ kill -9 "$daemon" && wait "$daemon"; } 2>/dev/null || true
left=$(processes_of sleep 64208)
[ "$left" ] || fail "the job was to be there still"
kill "$left"
sed -i 's/^schedule.*/schedule = @yearly/; s/sleep 64208/true/' "$ini"
serve
wait_for '"long"\] finished ok'
log_says '\[job "long"\] its last run was interrupted; made up for now'
kill "$daemon"
ends 0
sched 0 history long
says 'interrupted +long: the scheduler ended while it ran'

check "by hand beside a scheduler: one after the other"
export MCFS_STATE_DIR=$work/state6
cat >"$ini" <<'END'
[job-local "one"]
schedule = * * * * * *
command = slow
world = w
[job-local "two"]
schedule = @yearly
command = slow
world = w
END
serve
wait_for '"one"\] finished ok'
for _ in 1 2 3; do
	sched 0 run two
done
kill "$daemon"
ends 0
! grep -q OVERLAP "$log" || fail "two processes ran jobs of one world at once"

check "a history that is none: it is put aside, and jobs run"
mkdir -p "$work/none"
head -c 20000 /dev/urandom >"$work/none/scheduler.db"
cp "$work/none/scheduler.db" "$work/noise"
printf '[job-local "quick"]\nschedule = * * * * * *\ncommand = true\n' >"$ini"
MCFS_STATE_DIR=$work/none sched 1 history
MCFS_STATE_DIR=$work/none serve
wait_for "it is '$work/none/scheduler.db.damaged' now"
wait_for '"quick"\] finished ok'
kill "$daemon"
ends 0
cmp "$work/noise" "$work/none/scheduler.db.damaged" || fail "what was put aside is something else"
MCFS_STATE_DIR=$work/none sched 0 history
says 'quick: finished ok'

check "no room for the history: jobs run all the same"
if is_root && mkdir "$work/small" && mount -t tmpfs -o size=256k tmpfs "$work/small" 2>/dev/null; then
	mounted=$work/small
	export MCFS_STATE_DIR=$work/small/state
	cat >"$ini" <<'END'
[job-local "quick"]
schedule = * * * * * *
command = true
END
	serve
	wait_for '"quick"\] finished ok'
	dd if=/dev/zero of="$work/small/fill" bs=4k 2>/dev/null || true
	: >"$log"
	wait_for 'ERROR history .*full'
	wait_for '"quick"\] finished ok'
	kill "$daemon"
	ends 0
	check "the same when it is full at the start"
	rm "$work/small/state/scheduler.db"
	dd if=/dev/zero of="$work/small/fill2" bs=4k 2>/dev/null || true
	serve
	wait_for 'jobs run all the same'
	wait_for '"quick"\] finished ok'
	kill "$daemon"
	ends 0
	umount "$work/small"
	mounted=
else
	echo "	not here: no tmpfs can be mounted"
fi

check "web hooks"
if command -v python3 >/dev/null; then
	cat >"$work/server.py" <<'END'
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        open(sys.argv[1], 'ab').write(self.path.encode() + b' ' + body + b'\n')
        self.send_response(200); self.end_headers()
    def log_message(self, *a): pass
s = http.server.HTTPServer(('127.0.0.1', 0), H)
print(s.server_address[1], flush=True)
s.serve_forever()
END
	python3 "$work/server.py" "$work/posted" >"$work/port" &
	server=$!
	for _ in $(seq 100); do
		[ -s "$work/port" ] && break
		sleep 0.05
	done
	export MCFS_STATE_DIR=$work/state7
	cat >"$ini" <<END
[job-local "told"]
schedule = @yearly
command = sh -c 'echo secrets of the trade; exit 4'
on-failure = http://127.0.0.1:$(cat "$work/port")/hook/secret
slack-webhook = http://127.0.0.1:$(cat "$work/port")/slack/secret
slack-only-on-error = true
END
	sched 1 run told
	! grep -q 'hook/secret' "$work/stdout" "$work/stderr" || fail "the hook's URL is in the log"
	kill "$server"
	wait "$server" 2>/dev/null || true
	grep -qE '^/hook/secret \{.*exit code 4' "$work/posted" || fail "no web hook: $(cat "$work/posted")"
	grep -qE '^/slack/secret \{.*text' "$work/posted" || fail "no Slack: $(cat "$work/posted")"
else
	echo "	not here: no python3 to be called"
fi
