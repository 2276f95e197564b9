#!/bin/bash
# A snapshot and a restore take at most 64 MiB, whatever their size.
. "${0%/*}/lib.sh"
[ -z "${MCFS_SANITIZED:-}" ] || skip "sanitizers have their own ideas of memory"
limit=$((64 * 1024)) # KiB

# Runs a command with a wrapper that tells the peak of its resident memory, in KiB.
peak() { # COMMAND..
	if [ -x /usr/bin/time ]; then
		/usr/bin/time -f %M -o "$work/peak" "$@" >"$work/stdout" 2>"$work/stderr" || fail "$*"
	else
		# The kernel's own record of a child that has ended, through the shell's.
		python3 -c 'import resource, subprocess, sys
code = subprocess.call(sys.argv[2:], stdout=subprocess.DEVNULL)
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)' "$work/peak" "$@" || fail "$*"
	fi
	cat "$work/peak"
}
[ -x /usr/bin/time ] || command -v python3 >/dev/null || skip "nothing here can measure memory"

within() { # WHAT KIB
	echo "	$1: $2 KiB"
	[ "$2" -le "$limit" ] || fail "$1 takes $2 KiB, more than $limit"
}

export MCFS_STORE=$work/store
check "a world and large files"
"$MCFS_DEMO_WORLD" create "$work/src" --regions 2 --seed 2
head -c 60000000 /dev/urandom >"$work/src/large"
head -c 60000000 /dev/zero | tr '\0' 'a' >"$work/src/same"
# Chunks that inflate to much more than they take.
expect 0 "$MCFS" init
within "first snapshot" "$(peak "$MCFS" snapshot "$work/src")"
"$MCFS_DEMO_WORLD" play "$work/src" --minutes 10
settle
within "second snapshot" "$(peak "$MCFS" snapshot "$work/src")"
within "unchanged snapshot" "$(peak "$MCFS" snapshot "$work/src")"
within "restore" "$(peak "$MCFS" restore latest --to "$work/to")"
within "restore with --verify" "$(peak "$MCFS" restore latest --to "$work/to2" --verify)"
same "$work/src" "$work/to/src"

check "many small files"
mkdir "$work/many"
(cd "$work/many" && seq 30000 | split -l 1 -a 6 - f)
within "snapshot of 30,000 files" "$(peak "$MCFS" snapshot "$work/many")"
within "restore of 30,000 files" "$(peak "$MCFS" restore latest --to "$work/to3")"
[ "$(find "$work/to3/many" -type f | wc -l)" = 30000 ] || fail "not all came back"

check "a passphrase"
within "init" "$(peak env MCFS_PASSPHRASE=x "$MCFS" -s "$work/store2" init)"
within "snapshot" "$(peak env MCFS_PASSPHRASE=x "$MCFS" -s "$work/store2" snapshot "$work/src")"
