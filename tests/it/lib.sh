# lib.sh - what the integration tests share; each sources it first.
#
# Environment: MCFS and MCFS_DEMO_WORLD, the programs under test. A test works below $work, which
# goes away at the end (KEEP=1 keeps it), and exits 0 (all held), 77 (cannot run here) or else.
# in_memory=yes before sourcing: about order and contents, not about a disk; where memory has the room,
# without waiting for one.
set -euo pipefail
: "${MCFS:?the mcfs to test}" "${MCFS_DEMO_WORLD:?the mcfs-demo-world to use}"

# Nothing of the user's own stores, keys or caches may matter.
for name in $(compgen -e MCFS_); do
	case $name in
	MCFS_DEMO_WORLD | MCFS_SNAPSHOT | MCFS_RCON_STAND_IN | MCFS_HTTP_SINK | MCFS_WORLDS | MCFS_KILLS | MCFS_SANITIZED | MCFS_CRAFT_STORE | MCFS_GOLDEN | MCFS_SOURCE_ROOT | \
		MCFS_KILL_SEED | MCFS_PARALLEL_SECONDS | MCFS_LIVE_SECONDS | MCFS_MANY | MCFS_NODE_MODULES | MCFS_SCHEDULER | MCFS_NOTIFY | \
		MCFS_BUILD_ROOT | MCFS_NETWORK | MCFS_DOCKER_BASE | MCFS_DOCKER_ROOTFS | \
		MCFS_REGION_LIST | MCFS_SERVER_STAND_IN | MCFS_FAULTS_LIB | MCFS_FAULTS | MCFS_PLAIN_FS_LIB) ;;
	*) unset "$name" ;;
	esac
done
room() { # in KiB, for a test in memory
	{ df --output=avail /dev/shm && awk '/^MemAvailable/ { print $2 }' /proc/meminfo; } 2>/dev/null |
		awk 'NR == 1 { next } NR == 2 || $1 < n { n = $1 } END { print n + 0 }'
}
if [ "${in_memory:-}" ] && [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ] && [ "$(room)" -gt 4000000 ]; then
	export TMPDIR=/dev/shm
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/mcfs-it.XXXXXX")
export HOME=$work/home MCFS_CACHE_DIR=$work/cache MCFS_STATE_DIR=$work/state MCFS_CONFIG_DIR=$work/config
unset XDG_CACHE_HOME XDG_STATE_HOME XDG_CONFIG_HOME
export LC_ALL=C TZ=UTC
mkdir "$HOME"

at_end() {
	local code=$?
	trap - EXIT
	for pid in $(jobs -p); do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	if [ -n "${mounted:-}" ]; then
		umount "$mounted" || true
	fi
	if [ "${KEEP:-}" ]; then
		echo "kept: $work"
	else
		chmod -R u+rwx "$work" 2>/dev/null || true
		rm -rf "$work"
	fi
	exit "$code"
}
trap at_end EXIT

check() {
	echo "-- $*"
}

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

skip() {
	echo "skipped: $*"
	exit 77
}

# expect CODE COMMAND..: the exit code must be CODE. The output is in $work/stdout and $work/stderr.
expect() {
	local want=$1 got=0
	shift
	"$@" >"$work/stdout" 2>"$work/stderr" || got=$?
	if grep -qE 'Sanitizer|runtime error:' "$work/stderr"; then
		sed 's/^/	/' "$work/stderr" >&2
		fail "a sanitizer complains: $*"
	fi
	[ "$got" = "$want" ] && return
	sed 's/^/	out: /' "$work/stdout" | tail -n 20 | cut -c 1-500 >&2
	sed 's/^/	err: /' "$work/stderr" | tail -n 20 | cut -c 1-500 >&2
	fail "exit code $got instead of $want: $*"
}

# The last command said exactly one line, which names the program and has no full stop at its end.
one_clear_line() {
	[ "$(wc -l <"$work/stderr")" = 1 ] && grep -qE '^mcfs: .*[^.]$' "$work/stderr" && return
	sed 's/^/	err: /' "$work/stderr" >&2
	fail "this should have been one line that starts with 'mcfs: '"
}

# What the last command said (out and err) matches the extended expression.
says() {
	grep -qE -e "$1" "$work/stdout" "$work/stderr" && return
	sed 's/^/	/' "$work/stdout" "$work/stderr" >&2
	fail "nothing there says '$1'"
}

# Names, types, modes, owners, sizes, nanosecond times, link targets and device numbers of a tree.
listing() { # DIR
	(cd "$1" && {
		find . -type d -printf '%P|%y|%m|%U|%G|%T@\0'
		find . ! -type d -printf '%P|%y|%m|%U|%G|%T@|%s|%n|%l\0'
		find . \( -type c -o -type b \) -exec stat --printf '%n %t:%T\0' {} +
	} | sort -z | tr '\0\n' '\n\1')
}

# Which names are hard links of each other.
link_groups() { # DIR
	(cd "$1" && find . ! -type d -links +1 -printf '%i|%P\0' | sort -z | tr '\0\n' '\n\1' |
		awk -F'|' '$1 != last { if (NR > 1) print line; line = ""; last = $1 } { line = line " = " $2 }
			END { print line }' | sort)
}

attributes() { # DIR
	(cd "$1" && find . -print0 | sort -z | xargs -0 getfattr -h -d -m - -e hex -- 2>/dev/null)
}

# Two trees are the same in everything a snapshot keeps. FIFOs and sockets are left to rsync and the
# listing: diff has no words for them but "is a fifo while the other is a fifo".
same() { # WANT GOT
	local specials=()
	while IFS= read -r -d '' name; do
		specials+=(-x "$name")
	done < <(find "$1" \( -type p -o -type s -o -type c -o -type b \) -printf '%f\0')
	diff -r --no-dereference "${specials[@]}" "$1" "$2" >"$work/diff" 2>&1 ||
		{ head -n 20 "$work/diff" >&2; fail "diff -r: '$1' and '$2' differ"; }
	rsync -aHAXnc --delete --itemize-changes "$1/" "$2/" >"$work/diff" 2>&1 ||
		{ head -n 20 "$work/diff" >&2; fail "rsync fails"; }
	[ ! -s "$work/diff" ] ||
		{ head -n 20 "$work/diff" >&2; fail "rsync: '$1' and '$2' differ"; }
	for what in listing link_groups attributes; do
		$what "$1" >"$work/want.list"
		$what "$2" >"$work/got.list"
		cmp -s "$work/want.list" "$work/got.list" ||
			{ diff -a "$work/want.list" "$work/got.list" | head -n 20 >&2
			fail "$what: '$1' and '$2' differ"; }
	done
}

# The value of a number or plain string field of the last JSON line on standard output.
json() { # FIELD
	tail -n 1 "$work/stdout" | sed -nE "s/.*\"$1\":\"?([^\",}]*)\"?.*/\1/p"
}

store_bytes() { # STORE
	find "$1" -type f -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'
}

has_command() { # NAME
	"$MCFS" "$1" --help >/dev/null 2>&1
}

# The store is sound; as far as this mcfs can tell.
check_store() { # STORE
	if has_command check; then
		expect 0 "$MCFS" -s "$1" check --read-data
	else
		expect 0 "$MCFS" -s "$1" list
	fi
}

is_root() {
	[ "$(id -u)" = 0 ]
}

# The clock of a file's change must have moved on before mcfs trusts it: see "distrust" in the walk.
settle() {
	sleep 0.1
}
