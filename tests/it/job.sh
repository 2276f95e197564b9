#!/bin/bash
# mcfs-snapshot: the order of a run, commands and who is told, the server, one at a time.
. "${0%/*}/lib.sh"
. "${0%/*}/job-lib.sh"

mkdir "$work/world"
for i in 1 2 3; do
	head -c 20000 /dev/urandom >"$work/world/file$i"
done


check "without a store: a clear word and the command; --init makes it"
configure </dev/null
expect 1 job
one_clear_line
says "mcfs -s $work/store init"
expect 0 job --init
says 'store made in'
says 'snapshot 20'
says 'checked: no damage'

check "quiet on success with --cron; an unchanged world"
expect 0 job --cron
[ ! -s "$work/stdout" ] && [ ! -s "$work/stderr" ] || fail "--cron is not quiet"

check "--dry-run changes nothing"
before=$(find "$work/store" "$work/state" -type f | sort | md5sum)
expect 0 job --dry-run
[ "$before" = "$(find "$work/store" "$work/state" -type f | sort | md5sum)" ] || fail "--dry-run left something"

check "borg's repository is not taken for a store"
mkdir "$work/borg"
printf '[repository]\nversion = 1\n' >"$work/borg/config"
printf 'source_directories: [%s]\nrepositories: [%s]\n' "$work/world" "$work/borg" >"$work/backup.yaml"
expect 1 job
says "is borg's repository"

check "an error of the configuration: one line with its line"
configure <<<'keep_dialy: 1'
expect 2 job
one_clear_line
says 'backup.yaml:3: unknown key .keep_dialy.; did you mean .keep_daily.'
expect 2 "$MCFS_SNAPSHOT" --config "$work/nowhere" --now yesterday
expect 1 "$MCFS_SNAPSHOT" --config "$work/nowhere"
one_clear_line
expect 2 "$MCFS_SNAPSHOT" --config "$work/backup.yaml" "$work/world"
expect 0 "$MCFS_SNAPSHOT" --help
expect 0 "$MCFS_SNAPSHOT" --version

check "hooks: their order, their values, and that a message is never read as shell"
configure <<END
keep_daily: 3
before_everything: echo before-everything >>$work/order
after_everything: echo after-everything >>$work/order
before_actions: echo before-repository >>$work/order
after_actions: echo after-repository >>$work/order
before_backup: echo before-create {repository_label} >>$work/order
after_backup: echo after-create {snapshot} >>$work/order
before_prune: echo before-prune >>$work/order
after_prune: echo after-prune >>$work/order
on_error: echo never >>$work/order
commands:
  - {before: configuration, run: [echo before-configuration >>$work/order]}
  - {after: configuration, states: [fail], run: [echo never >>$work/order]}
END
expect 0 job
sed -E 's/ 20.*/ SNAP/' "$work/order" >"$work/got"
cat >"$work/want" <<END
before-everything
before-configuration
before-repository
before-create local
after-create SNAP
before-prune
after-prune
after-repository
after-everything
END
diff "$work/want" "$work/got" >&2 || fail "hooks in another order"

check "a command that fails: what comes after it is not done, and on_error is told"
rm -f "$work/order"
configure <<END
keep_daily: 3
before_backup:
  - echo 'out; touch $work/evil \$(touch $work/evil) \`touch $work/evil\`'; exit 3
on_error:
  - printf '%s|%s|%s\n' {error} "[{error}]" '{error}' >>$work/order
  - printf '%s\n' {output} >>$work/order
commands:
  - {after: action, when: [create], states: [fail], run: [echo after-fail >>$work/order]}
  - {after: action, when: [create], states: [finish], run: [echo never >>$work/order]}
END
n=$(snapshots)
expect 1 job
says 'backup.yaml:5: the command .* failed with exit status 3|backup.yaml:4: the command'
[ "$(snapshots)" = "$n" ] || fail "a snapshot was made"
[ ! -e "$work/evil" ] || fail "a message was run as shell"
[ "$(head -n 1 "$work/order")" = after-fail ] || fail "no after-command for the failure"
grep -qF '|[' "$work/order" || fail "no {error} within quotes"
grep -qF "out; touch" "$work/order" || fail "no {output}"

check "exit status 75: not now, and no failure"
configure <<END
before_backup: exit 75
on_error: touch $work/never
END
expect 0 job
says 'now is not the time'
[ ! -e "$work/never" ] && [ "$(snapshots)" = "$n" ] || fail "75 was taken for a failure"

check "a step that fails: wrong key, told with its exit status"
configure <<<"on_error: echo {error} >$work/order"
MCFS_KEY_FILE=$work/other expect 11 job --cron
grep -q "key file" "$work/order" || fail "on_error does not say why"

check "who is told, and that their silence harms nothing"
start_sink
url=http://127.0.0.1:$http_port
configure <<END
healthchecks: {ping_url: $url/hc}
uptime_kuma: {push_url: $url/kuma}
ntfy: {topic: mc, server: $url, states: [start, finish, fail]}
discord: {webhook_url: $url/discord}
webhook: {url: $url/hook}
END
expect 0 job
grep -q '^POST /hc/start' "$work/http" && grep -q '^POST /hc .*snapshot 20' "$work/http" || fail "healthchecks"
grep -q '^GET /kuma?status=up&msg=finish' "$work/http" || fail "uptime_kuma"
grep -q '^POST /mc ' "$work/http" || fail "ntfy"
! grep -q discord "$work/http" || fail "discord is told of success"
grep -q '^POST /hook .*"state":"finish".*"exit_code":0' "$work/http" || fail "webhook"
: >"$work/http"
MCFS_KEY_FILE=$work/other expect 11 job
grep -q '^POST /hc/fail ' "$work/http" && grep -q '^GET /kuma?status=down' "$work/http" || fail "no failure told"
grep -q '^POST /discord .*FAILED' "$work/http" || fail "discord hears nothing of a failure"
stop "$sink_pid"
expect 0 job --cron
grep -q 'notification: healthchecks: 127.0.0.1' "$work/stderr" || fail "no warning"

check "files that cannot be read, and what is not done: status 3, and the rest is done"
configure <<<'postgresql_databases: [{name: all}]'
expect 3 job --cron
says 'backup.yaml:3: postgresql_databases: mcfs dumps no databases'
printf 'source_directories: [%s, %s]\nrepositories: [%s]\n' "$work/world" "$work/gone" "$work/store" >"$work/backup.yaml"
expect 3 job
echo 'source_directories_must_exist: true' >>"$work/backup.yaml"
expect 1 job
says "gone' does not exist"

check "patterns, as borg takes them"
mkdir -p "$work/world/x/cache" "$work/world/marked"
touch "$work/world/a.DistantHorizons.sqlite-wal" "$work/world/x/cache/f" "$work/world/marked/.nobackup" "$work/world/marked/g" \
	"$work/world/cache"
echo 'sh:**/x/cache' >"$work/patterns"
configure <<END
exclude_patterns: ['*DistantHorizons.sqlite*', cache]
exclude_from: [$work/patterns]
exclude_if_present: [.nobackup]
END
expect 0 job
expect 0 "$MCFS" -s "$work/store" ls latest:world
says 'cache'
! grep -q DistantHorizons "$work/stdout" || fail "a pattern is not heeded"
expect 0 "$MCFS" -s "$work/store" ls latest:world/x
! grep -q cache "$work/stdout" || fail "exclude_from is not heeded"
expect 0 "$MCFS" -s "$work/store" ls latest:world/marked
! grep -q g "$work/stdout" || fail "exclude_if_present is not heeded"

check "a server: save-off, flush, save-on, in this order around the snapshot"
start_console 200
configure <<END
rcon: {port: $rcon_port, password: secret}
before_backup: echo before >>$work/console
after_backup: echo after >>$work/console
END
expect 0 job
[ "$(tr '\n' , <"$work/console")" = 'before,save-off,save-all flush,save-on,after,' ] ||
	fail "another order: $(tr '\n' , <"$work/console")"
[ -z "$(ls "$work/state/saving-off")" ] || fail "a record is left"

check "the password from itzg's file; a wrong one is a warning and status 3"
printf 'password=secret\nport=%s\n' "$rcon_port" >"$work/.rcon-cli.env"
configure <<<"rcon: {env_file: $work/.rcon-cli.env}"
: >"$work/console"
expect 0 job
grep -q save-on "$work/console" || fail "the console was not used"
echo wrong >"$work/password"
configure <<<"rcon: {port: $rcon_port, password_file: $work/password}"
expect 3 job
says 'the RCON password is refused'
configure <<<"rcon: {port: $rcon_port, password_file: $work/nothing}"
expect 3 job
says "backup.yaml:3: rcon: open '$work/nothing'"

check "a snapshot that fails: save-on all the same"
: >"$work/console"
configure <<<"rcon: {port: $rcon_port, password: secret}"
MCFS_KEY_FILE=$work/other expect 11 job
[ "$(tail -n 1 "$work/console")" = save-on ] || fail "saving is off after a failure"

check "a server that goes away at the flush"
stop "$console_pid"
start_console 0 'save-all flush'
configure <<<"rcon: {port: $rcon_port, password: secret}"
expect 3 job
says 'the server goes on saving during the snapshot'
[ "$(tail -n 1 "$work/console")" = save-on ] || fail "saving is off"
stop "$console_pid"

check "no server: its files hold still, unless somebody uses the world"
expect 0 job
says 'no server runs'
mkdir -p "$work/world/region"
touch "$work/world/level.dat" "$work/world/region/r.0.0.mca"
(exec 9>>"$work/world/region/r.0.0.mca" && exec sleep 20) &
user=$!
sleep 0.3
expect 3 job
says 'uses the world in'
stop "$user"

check "a server that sleeps is not woken"
touch "$work/world/.paused"
expect 0 job
says 'is paused'
rm "$work/world/.paused"

check "what an earlier run left off is turned on, also by --save-on alone"
start_console
configure <<<"rcon: {port: $rcon_port, password: secret}"
for how in '' --save-on; do
	: >"$work/console"
	echo left >"$work/state/saving-off/127.0.0.1:$rcon_port"
	expect 0 job $how
	[ "$(head -n 1 "$work/console")" = save-on ] || fail "not turned on by '$how'"
	[ -z "$(ls "$work/state/saving-off")" ] || fail "the record stays"
done

# Its tries take 8 seconds: what it says is looked at in the end. With a world and a state of its own, for the locks.
stop "$console_pid"
mkdir -p "$work/gone-state/saving-off" "$work/gone-world"
echo left >"$work/gone-state/saving-off/127.0.0.1:$rcon_port"
sed "s,$work/world,$work/gone-world," "$work/backup.yaml" >"$work/gone.yaml"
MCFS_STATE_DIR=$work/gone-state "$MCFS_SNAPSHOT" --config "$work/gone.yaml" --save-on >"$work/gone.out" 2>&1 &
gone=$!
gone_port=$rcon_port

check "one at a time, with who holds it; lock_wait waits"
configure <<<'before_backup: sleep 1.5'
"$MCFS_SNAPSHOT" --config "$work/backup.yaml" >/dev/null 2>&1 &
first=$!
sleep 0.5
expect 10 job
one_clear_line
says "is being backed up by mcfs-snapshot $work/backup.yaml \(pid $first, since"
printf 'lock_wait: 20\n' >>"$work/backup.yaml"
sed -i '/before_backup/d' "$work/backup.yaml"
expect 0 job
wait "$first" || fail "the first run fails"

check "SIGTERM: the snapshot's process is told, saving is on again, status 130"
stop "$console_pid"
start_console 1500
configure <<<"rcon: {port: $rcon_port, password: secret}"
"$MCFS_SNAPSHOT" --config "$work/backup.yaml" >"$work/out" 2>&1 &
run=$!
sleep 0.7
kill -TERM $run
code=0
wait $run || code=$?
[ "$code" = 130 ] || { cat "$work/out" >&2; fail "exit code $code"; }
[ "$(tail -n 1 "$work/console")" = save-on ] || fail "saving is off after SIGTERM"
stop "$console_pid"

check "--now: retention over a fortnight in a moment, and checks when they are due"
rm -rf "$work/store" "$work/state"
configure <<END
keep_within: 2H
keep_daily: 3
keep_weekly: 2
checks: [{name: repository, frequency: 1 week}]
skip_actions: [compact]
END
expect 0 job --init --now 2026-03-01T00:00:00Z
checks=0
# In the end no rule keeps 4, 9 and 11.
for day in 4 8 9 11 12 13 14 15; do
	echo "$day" >"$work/world/changes"
	expect 0 job --now "2026-03-$(printf %02d "$day")T02:00:00Z"
	! grep -q 'checked' "$work/stdout" || checks=$((checks + 1))
done
[ "$checks" = 2 ] || fail "$checks checks in 14 days instead of 2"
"$MCFS" -s "$work/store" list | grep -oE '2026-[0-9-]+T' | sort >"$work/got"
printf '2026-03-%02dT\n' 1 8 12 13 14 15 >"$work/want"
diff "$work/want" "$work/got" >&2 || fail "other snapshots are kept: $(cat "$work/stdout")"

check "prune_rules: only with a snapshot of this run, or one that is young enough"
printf 'delete_chunks: [{last_updated: 1 day, inhabited_time: 1 hour}]\n' >"$work/prune.yaml"
configure <<END
prune_rules: $work/prune.yaml
skip_actions: [create, check, compact]
END
expect 3 job --now 2026-03-15T03:00:00Z
says 'nothing is pruned without a fresh snapshot'
echo 'require_snapshot: 30 minutes' >>"$work/backup.yaml"
expect 3 job --now 2026-03-15T03:00:00Z
says 'nothing is pruned without a fresh snapshot'
sed -i 's/30 minutes/2 h/' "$work/backup.yaml"
code=0
job --now 2026-03-15T03:00:00Z >"$work/stdout" 2>"$work/stderr" || code=$?
! grep -q 'fresh snapshot' "$work/stderr" || fail "a young snapshot is not seen"
rm -rf "$work/world"
mkdir "$work/world"
"$MCFS_DEMO_WORLD" create "$work/world" --regions 1 >"$work/out" 2>&1 || { cat "$work/out" >&2; fail "no demo world"; }
printf 'delete_chunks: [{last_updated: 1 day, inhabited_time: 1 minute}]\nmax_fraction: 100%%\n' >"$work/prune.yaml"
printf 'prune_rules: %s\nskip_actions: [check, compact]\n' "$work/prune.yaml" | configure
expect 0 job
says 'world: pruned by'
expect 0 "$MCFS" trash list --world "$work/world"
says 'c\.-?[0-9]+\.-?[0-9]+'

check "a server that is gone: saving stays off, and that is said"
code=0
wait "$gone" || code=$?
[ "$code" = 3 ] || { cat "$work/gone.out" >&2; fail "exit code $code instead of 3"; }
grep -q 'an earlier run left saving turned off; turn it on again' "$work/gone.out" || fail "no word of it"
[ -e "$work/gone-state/saving-off/127.0.0.1:$gone_port" ] || fail "the record is gone"

check "--json: a line a step, and the summary last"
configure </dev/null
expect 0 job --json
tail -n 1 "$work/stdout" | grep -q "^{\"type\":\"summary\".*\"exit_code\":0}$" || fail "no summary"
grep -q '"type":"step","action":"create"' "$work/stdout" || fail "no step"
