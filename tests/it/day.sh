#!/bin/bash
# The three files that people have already (borgmatic's, MCA Selector's, Ofelia's) drive two days in
# fast-forward: the jobs at their minutes, none overlapping, one that fails beside them, retention as
# the keys say, pruned chunks in the trash. Only paths are changed.
. "${0%/*}/lib.sh"
: "${MCFS_SCHEDULER:?the mcfs-scheduler to test}"
tools=${MCFS%/*}
examples=$MCFS_SOURCE_ROOT/tests/examples
[ -x "$tools/mcfs-snapshot" ] || skip "no mcfs-snapshot in this build"
has_command prune || skip "no prune in this build"

mkdir -p "$work/bin" "$work/source/server" "$work/source/config" "$work/repository"
expect 0 "$MCFS_DEMO_WORLD" create "$work/source/world" --regions 1 --now 1772323200
echo motd=x >"$work/source/server/server.properties"
export CF_SLUG=pack MCFS_STORE=$work/repository/pack
cat >"$work/borgmatic.yaml" <<END
source_directories:
  - $work/source/server
  - $work/source/world
  - $work/source/config
repositories:
  - path: $work/repository/\${CF_SLUG}
match_archives: "*"
keep_within: 2H
keep_hourly: 24
keep_daily: 14
keep_weekly: 12
keep_monthly: 12
keep_yearly: 999
exclude_patterns:
  - '*DistantHorizons.sqlite*'
END
{
	sed '/^\[job-local/,$d' "$examples/ofelia-config.ini"
	cat <<END
[job-local "snapshot"]
schedule = @every 1h30m
command = job-snapshot
no-overlap = true

[job-local "broken"]
schedule = 15 * * * *
command = false
END
} >"$work/config.ini"
# Where docker would be: what was in those containers is mcfs now. No job may overlap itself (two of
# them may: at 3 on Sunday the cleanup meets a snapshot, and the file names no world).
cat >"$work/bin/one" <<'END'
#!/bin/sh
mkdir "$BUSY-$MCFS_JOB" || { echo OVERLAP; exit 1; }
"$@"
code=$?
rmdir "$BUSY-$MCFS_JOB"
exit $code
END
cat >"$work/bin/docker" <<'END'
#!/bin/sh
case $3 in
/scripts/backup.sh) exec job-snapshot ;;
/scripts/delete-chunks.sh) exec one "$MCFS" prune --world "$SOURCE/world" --rules "$OPTIONS" --now "$MCFS_JOB_DUE" --force ;;
esac
exit 1
END
cat >"$work/bin/job-snapshot" <<'END'
#!/bin/sh
echo "$MCFS_JOB_DUE" >"$SOURCE/server/last"
exec one "$SNAPSHOT" --init --config "$BORGMATIC" --now "$MCFS_JOB_DUE"
END
chmod +x "$work/bin/"*
export PATH=$work/bin:$PATH BUSY=$work/busy SOURCE=$work/source OPTIONS=$examples/mcaselector-options.yaml
export BORGMATIC=$work/borgmatic.yaml SNAPSHOT=$tools/mcfs-snapshot MCFS

check "two days: Saturday 28 and Sunday 29 March 2026"
log=$work/log
# The jobs read the day from MCFS_JOB_DUE; it is UTC, so that every hour is there.
expect 0 "$MCFS_SCHEDULER" --config "$work/config.ini" --now 2026-03-28T00:00:00Z --until 2026-03-29T23:59:59Z serve
cp "$work/stdout" "$log"
count() { # JOB WORDS
	grep -c "\[job \"$1\"\] $2" "$log" || true
}
[ "$(count borgmatic-backup 'finished ok')" = 2 ] || { tail -n 40 "$log" >&2; fail "no two nightly backups"; }
[ "$(count mcaselector-cleanup 'finished ok')" = 1 ] || { grep cleanup "$log" >&2; fail "no cleanup on Sunday"; }
[ "$(count snapshot 'finished ok')" = 31 ] || fail "two days hold 31 times 1h30m"
[ "$(count broken 'failed: exit code 1')" = 48 ] || fail "what fails is to be said each hour"
grep -q '^2026-03-29T03:00:00+00:00 \[job "mcaselector-cleanup"\] started' "$log" || fail "the cleanup is not at 3"
! grep -q OVERLAP "$log" || fail "two jobs at once"

check "retention"
expect 0 "$MCFS" list
awk '{ print $1 }' "$work/stdout" >"$work/names"
n=$(wc -l <"$work/names")
echo "	$n of 33 snapshots are kept"
# 24 hourly ones and those of the last two hours; of what is older the last of a day, week, month, year.
[ "$n" = 27 ] || fail "$n snapshots are kept, not 2 + 24 + 1"
tail -n 1 "$work/names" | grep -q '^2026-03-29T22' || fail "the newest is of $(tail -n 1 "$work/names")"

check "what was pruned is in the trash"
expect 0 "$MCFS" trash list --world "$work/source/world"
echo "	$(wc -l <"$work/stdout") chunks"
[ -s "$work/stdout" ] || { grep cleanup "$log" >&2; fail "nothing was pruned"; }
expect 0 "$MCFS" restore latest --to "$work/restored"
expect 0 "$MCFS_DEMO_WORLD" verify "$work/restored/world"
check_store "$MCFS_STORE"
