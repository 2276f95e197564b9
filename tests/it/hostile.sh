#!/bin/bash
# Stores made by somebody evil who has the key: nothing is written outside of the target, nothing
# hangs or eats the machine, and the failure is said. Promise 3.
. "${0%/*}/lib.sh"
: "${MCFS_CRAFT_STORE:?the program that makes such stores}"

# Everything that runs here: with bounds on time, memory and what it may write to the disk.
bounded() {
	(
		trap '' XFSZ
		ulimit -f 1000000 # blocks of 1024 bytes
		[ -n "${MCFS_SANITIZED:-}" ] || ulimit -v 1500000
		exec timeout 120 "$MCFS" "$@"
	)
}

# The world outside of the target, which must not change.
outside() {
	mkdir -p "$work/jail/outside"
	echo mine >"$work/jail/outside/victim"
}

untouched() { # KIND
	[ "$(cd "$work/jail" && find . ! -path './target*' | sort | tr '\n' ' ')" = \
		'. ./outside ./outside/victim ' ] || fail "$1: something was written outside of the target"
	[ "$(cat "$work/jail/outside/victim")" = mine ] || fail "$1: a file outside was changed"
	[ "$(stat -c %h "$work/jail/outside/victim")" = 1 ] || fail "$1: a file outside has a new link"
	[ ! -e /tmp/mcfs-escaped ] || fail "$1: an absolute name was followed"
	! find "$work/jail" -name '*escaped*' -path '*outside*' | grep . >/dev/null || fail "$1: it escaped"
}

kinds=$("$MCFS_CRAFT_STORE" --kinds)
[ -n "$kinds" ] || fail "no kinds of attack"
rm -f /tmp/mcfs-escaped
for kind in $kinds; do
	check "$kind"
	rm -rf "$work/store" "$work/jail" "$MCFS_CACHE_DIR" "$MCFS_STATE_DIR"
	export MCFS_STORE=$work/store
	expect 0 "$MCFS" init
	key=$(sed -n 's/^key file //p' "$work/stdout")
	"$MCFS_CRAFT_STORE" "$work/store" "$key" "$kind"
	outside
	for options in '' --delete '--overwrite if-changed' --verify --dry-run; do
		code=0
		# shellcheck disable=SC2086
		bounded restore latest --to "$work/jail/target" $options >"$work/stdout" 2>"$work/stderr" || code=$?
		! grep -qE 'Sanitizer|runtime error' "$work/stderr" ||
			{ head -n 30 "$work/stderr" | cut -c 1-300 >&2; fail "$kind: a sanitizer complains"; }
		untouched "$kind"
		[ "$options" != --dry-run ] || continue
		case $kind:$code in
		through-link:* | link-to-link:* | tree-loop:*) # each part is fine by itself
			[ "$code" = 0 ] || [ "$code" = 3 ] || [ "$code" = 12 ] || fail "$kind: exit code $code" ;;
		*:12) grep -q '^mcfs: ' "$work/stderr" || fail "$kind: no message" ;;
		*)
			head -n 5 "$work/stderr" | cut -c 1-300 >&2
			fail "$kind $options: exit code $code instead of 12"
			;;
		esac
	done
	for command in 'list' 'ls -R latest' 'find *' 'find nothing' 'info latest' 'check' 'check --read-data' 'export latest' \
		'cat latest:f0' 'cat latest:r.0.0.mca' 'cat latest:file' 'diff latest latest' \
		'diff --chunks latest latest' "snapshot $work/jail"; do
		code=0
		# shellcheck disable=SC2086
		(set -f; bounded $command) >"$work/stdout" 2>"$work/stderr" </dev/null || code=$?
		! grep -qE 'Sanitizer|runtime error' "$work/stderr" ||
			{ head -n 30 "$work/stderr" | cut -c 1-300 >&2; fail "$kind: $command: a sanitizer complains"; }
		case $kind:$code in
		*:0 | *:1 | *:2 | *:3 | *:12) ;;
		*)
			head -n 5 "$work/stderr" | cut -c 1-300 >&2
			fail "$kind: '$command': exit code $code"
			;;
		esac
	done
done
