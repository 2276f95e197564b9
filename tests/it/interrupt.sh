#!/bin/bash
# Ctrl-C: exit code 130, nothing half done, and the next snapshot goes on from what was written.
. "${0%/*}/lib.sh"
export MCFS_STORE=$work/store

mkdir "$work/src"
for i in 1 2 3 4 5 6; do
	head -c 15000000 /dev/urandom >"$work/src/file-$i"
done
expect 0 "$MCFS" init
check "interrupted by SIGINT and by SIGTERM"
for signal in INT TERM HUP; do
	"$MCFS" snapshot "$work/src" >"$work/stdout" 2>"$work/stderr" &
	pid=$!
	# A background job of a script ignores SIGINT unless the program asks for it; mcfs does.
	sleep 0.2
	kill -s "$signal" "$pid" 2>/dev/null || true
	code=0
	wait "$pid" || code=$?
	case $code in
	130)
		one_clear_line
		[ "$("$MCFS" list | wc -l)" = 0 ] || fail "an interrupted snapshot is listed"
		;;
	0) # it was quicker than we were
		rm -rf "$work/store" "$MCFS_CACHE_DIR" "$MCFS_STATE_DIR"
		expect 0 "$MCFS" init
		;;
	*) fail "SIG$signal: exit code $code" ;;
	esac
done
check "the next one works"
expect 0 "$MCFS" snapshot "$work/src"
expect 0 "$MCFS" restore latest --to "$work/to"
same "$work/src" "$work/to/src"
check_store "$work/store"
