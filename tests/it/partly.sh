#!/bin/bash
# Files that cannot be read: each is named, everything else is kept, exit code 3. Promise 5 and 6.
. "${0%/*}/lib.sh"
export MCFS_STORE=$work/store

# As root nothing is unreadable, unless the capability is dropped.
run=("$MCFS")
if is_root; then
	run=(setpriv --bounding-set=-dac_override,-dac_read_search "$MCFS")
	"${run[@]}" --version >/dev/null 2>&1 || skip "root, and capabilities cannot be dropped (setpriv)"
fi
mkdir -p "$work"/src/{locked,fine,unlisted}
for f in file locked/in fine/in unlisted/in 'evil
mcfs: all is well'; do
	echo content >"$work/src/$f"
done
expect 0 "$MCFS" init
chmod 000 "$work/src/file" "$work/src/evil
mcfs: all is well"
chmod 000 "$work/src/locked"
chmod 600 "$work/src/unlisted"

check "unreadable files and directories"
expect 3 "${run[@]}" --json snapshot "$work/src"
[ "$(json exit_code)" = 3 ] || fail "the summary says exit code $(json exit_code)"
[ "$(json problems)" -ge 4 ] || fail "$(json problems) problems"
grep -q "$work/src/file: cannot be opened: Permission denied" "$work/stderr" || fail "file is not named"
grep -q "$work/src/locked: cannot be opened" "$work/stderr" || fail "locked is not named"
! grep -q '^mcfs: all is well' "$work/stderr" || fail "a name can forge a message"
! grep -vq '^mcfs: ' "$work/stderr" || fail "a message without the program's name"

check "what was readable is there; what was not is not passed off as empty"
expect 3 "$MCFS" restore latest --to "$work/got"
says 'file: could not be read when the snapshot was made'
[ "$(cat "$work/got/src/fine/in")" = content ] || fail "a readable file is missing"
[ ! -e "$work/got/src/file" ] || fail "an unreadable file came back as something"
expect 1 "$MCFS" cat latest:src/file
one_clear_line

check "readable again: the next snapshot has it"
chmod 644 "$work/src/file" "$work/src/evil"*
chmod 755 "$work/src/locked" "$work/src/unlisted"
settle
expect 0 "${run[@]}" snapshot "$work/src"
expect 0 "$MCFS" restore latest --to "$work/again"
same "$work/src" "$work/again/src"

check "a source that vanished: the others are kept, exit code 3"
expect 3 "$MCFS" snapshot "$work/src" "$work/gone"
says "$work/gone: source cannot be read: No such file"
expect 0 "$MCFS" ls latest
[ "$(cat "$work/stdout")" = src/ ] || fail "the snapshot holds '$(cat "$work/stdout")'"

check "a source that is empty now, as when its disk is not mounted: exit code 3, each time"
mkdir -p "$work/disk/world"
expect 0 "$MCFS" snapshot "$work/disk"
expect 0 "$MCFS" snapshot "$work/disk/world"
echo x >"$work/disk/world/level.dat"
expect 0 "$MCFS" snapshot "$work/disk/world"
rm "$work/disk/world/level.dat"
for i in 1 2; do
	expect 3 "$MCFS" snapshot "$work/disk/world"
	says "disk/world: is empty, and was not in snapshot 20"
done
mkdir "$work/disk/world/region"
expect 0 "$MCFS" snapshot "$work/disk/world"

check "no source at all: exit code 1 and no snapshot"
before=$("$MCFS" list | wc -l)
expect 1 "$MCFS" snapshot "$work/gone" "$work/gone-too"
[ "$("$MCFS" list | wc -l)" = "$before" ] || fail "an empty snapshot was made"

check "files that vanish or change while they are looked at do no harm"
(
	trap 'exit 0' TERM
	while :; do
		rm -f "$work"/src/fine/t*
		for i in 1 2 3 4 5 6 7 8 9; do
			echo "$RANDOM" >"$work/src/fine/t$i"
		done
	done
) &
noise=$!
for i in 1 2 3 4 5; do
	got=0
	"$MCFS" snapshot "$work/src" >"$work/stdout" 2>"$work/stderr" || got=$?
	[ "$got" = 0 ] || [ "$got" = 3 ] || { cat "$work/stderr" >&2; fail "exit code $got"; }
done
kill "$noise"
wait "$noise" || true
check_store "$work/store"

check "a target that cannot be written"
if [ "${run[0]}" != "$MCFS" ] || ! is_root; then
	mkdir "$work/closed"
	chmod 555 "$work/closed"
	is_root && chown 1:1 "$work/closed"
	got=0
	"${run[@]}" restore latest --to "$work/closed" >"$work/stdout" 2>"$work/stderr" || got=$?
	[ "$got" = 1 ] || [ "$got" = 3 ] || fail "exit code $got"
	says 'Permission denied'
fi
