#!/bin/bash
# Many at one store at the same time: snapshots of three machines, forget, compact, check, restore.
#
# MCFS_PARALLEL_SECONDS: how long (10).
. "${0%/*}/lib.sh"
seconds=${MCFS_PARALLEL_SECONDS:-10}
export MCFS_STORE=$work/store
expect 0 "$MCFS" init
until=$(($(date +%s) + seconds))

# What a machine runs must exit with one of these codes.
must() { # CODES COMMAND..
	local codes=$1 got=0
	shift
	"$@" >"$out" 2>&1 || got=$?
	if grep -qE 'Sanitizer|runtime error:' "$out" || ! [[ " $codes " == *" $got "* ]]; then
		{
			echo "exit code $got: $*"
			tail -n 20 "$out"
		} >"$work/failed.$BASHPID"
		exit 1
	fi
}

machine() { # N: own cache, own source; keeps what each snapshot must be
	local n=$1 k
	export MCFS_CACHE_DIR=$work/cache$n MCFS_STATE_DIR=$work/state$n
	out=$work/out.$n
	local src=$work/src$n
	mkdir -p "$src/deep/er"
	for ((k = 0; $(date +%s) < until; k++)); do
		head -c $((RANDOM * 20)) /dev/urandom >"$src/big"
		# The same on all machines, off and on: blobs that are found again, or just not any more.
		yes "line $((RANDOM % 3))" | head -c 150000 >"$src/shared" || true
		echo "$n $k" >"$src/deep/er/file-$((k % 7))"
		sleep 0.06
		must 0 "$MCFS" --json snapshot --tag "m$n" "$src"
		local name
		name=$(sed -nE 's/.*"name":"([^"]*)".*/\1/p' "$out" | tail -n 1)
		[ "$name" ] || { echo "no name in $(cat "$out")" >"$work/failed.$n"; exit 1; }
		mkdir -p "$work/keep$n"
		cp -a "$src" "$work/keep$n/$name"
		if [ $((k % 3)) = 2 ]; then
			# Of its own ones, all but the last two.
			for old in $(ls "$work/keep$n" | sort | head -n -2); do
				must 0 "$MCFS" forget "$old"
				rm -rf "$work/keep$n/$old"
			done
		fi
		[ $((k % 5)) != 4 ] || rm -rf "$MCFS_CACHE_DIR"
	done
}

compacter() {
	export MCFS_CACHE_DIR=$work/cache-c MCFS_STATE_DIR=$work/state-c
	out=$work/out.c
	while [ "$(date +%s)" -lt "$until" ]; do
		must "0 10" "$MCFS" compact --grace 0 --wait 2s --max-unused 1%
	done
}

checker() {
	export MCFS_CACHE_DIR=$work/cache-k MCFS_STATE_DIR=$work/state-k
	out=$work/out.k
	while [ "$(date +%s)" -lt "$until" ]; do
		must 0 "$MCFS" check
		must 0 "$MCFS" list
	done
}

check "three machines, compact and check for $seconds seconds"
pids=()
for who in "machine 1" "machine 2" "machine 3" compacter checker; do
	$who &
	pids+=($!)
done
for pid in "${pids[@]}"; do
	wait "$pid" || true
done
for f in "$work"/failed.*; do
	[ ! -e "$f" ] || { cat "$f" >&2; fail "one of them failed"; }
done

check "every snapshot that was kept is what it must be"
expect 0 "$MCFS" compact --grace 0
check_store "$MCFS_STORE"
count=0
for n in 1 2 3; do
	for name in $(ls "$work/keep$n"); do
		rm -rf "$work/out"
		expect 0 "$MCFS" restore "$name" --to "$work/out"
		same "$work/keep$n/$name" "$work/out/src$n"
		count=$((count + 1))
	done
done
echo "$count snapshots compared; $("$MCFS" list | wc -l) listed"
[ "$count" -ge 3 ] || fail "nothing was compared"
[ -z "$(ls "$MCFS_STORE/locks")" ] || fail "locks are left"
