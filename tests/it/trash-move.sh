#!/bin/bash
# A world's folder is moved and its trash follows: what is refused, who is in the way, and a kill at every
# call that changes a file. Afterwards everything pruned comes back into the world where it is now.
in_memory=yes
. "${0%/*}/lib.sh"
. "${0%/*}/prune-lib.sh"
: "${MCFS_FAULTS_LIB:?faults.so}"

"$MCFS_DEMO_WORLD" create "$work/old" --regions 1 --seed 5
w=$work/old
chunks_of "$w" >"$work/want.list"
grep -E '^(dimensions/minecraft/overworld/)?region ' "$work/want.list" | cut -d' ' -f2 | sed '7,$d' >"$work/chunks"
expect 0 "$MCFS" prune --world "$w" $(head -n 5 "$work/chunks")
count() { "$MCFS" trash list --world "$1" 2>/dev/null | wc -l; }
[ "$(count "$w")" = 5 ] || fail "$(count "$w") chunks are in the trash"

check "refused"
cp -a "$w" "$work/copy"
expect 1 "$MCFS" trash move "$w" "$work/copy"
grep -q 'still a world' "$work/stderr" || fail "a copy: $(cat "$work/stderr")"
expect 2 "$MCFS" trash move "$w" "$w"
expect 2 "$MCFS" trash move "$w"
expect 2 "$MCFS" trash move "$w" "$work/copy" --world "$w"
mv "$w" "$work/new"
expect 1 "$MCFS" trash move "$w" "$work/nowhere"
expect 2 "$MCFS" trash move old "$work/new"
mkdir "$work/empty"
expect 1 "$MCFS" trash move "$w" "$work/empty"
"$MCFS_DEMO_WORLD" create "$work/other" --regions 1 --seed 6
expect 1 "$MCFS" trash move "$w" "$work/other"
grep -q 'seed' "$work/stderr" || fail "another world: $(cat "$work/stderr")"
expect 1 "$MCFS" trash move "$work/nowhere" "$work/new"
expect 0 "$MCFS" prune --world "$work/copy" $(tail -n 1 "$work/chunks")
expect 1 "$MCFS" trash move "$w" "$work/copy"
grep -q 'of its own' "$work/stderr" || fail "a full trash: $(cat "$work/stderr")"
[ "$(count "$w")" = 5 ] || fail "a refusal changed the trash"
rm -r "$work/copy"

check "somebody has it open"
db=$(ls "$work/state/trash/"old-*.db)
flock -s "$db.lock" "$MCFS" trash list --world "$w" >/dev/null || fail "those who use it keep each other out"
expect 10 flock -s "$db.lock" "$MCFS" trash move "$w" "$work/new"
# An empty one at the new place, as a mount makes it, and somebody in it.
expect 0 "$MCFS" prune --world "$work/new" r.9.9
new_db=$(ls "$work/state/trash/"new-*.db)
expect 10 flock -s "$new_db.lock" "$MCFS" trash move "$w" "$work/new"
[ "$(count "$w")" = 5 ] || fail "a refusal changed the trash"

# A sanitized mcfs is slow. MCFS_FAULTS=all: every call.
step=$((${MCFS_SANITIZED:-0} ? 11 : 3))
[ "${MCFS_FAULTS:-}" != all ] || step=1
faulty() { # AT HOW COMMAND..
	{ ASAN_OPTIONS=$(asan) LD_PRELOAD=$MCFS_FAULTS_LIB MCFS_FAULT_AT=$1 MCFS_FAULT_HOW=$2 "$MCFS" "${@:3}" >/dev/null; } 2>/dev/null
}

check "a kill and an error at every call"
cp -a "$work/state" "$work/state.before"
try() { # AT HOW: 0 when it got through
	rm -r "$work/state"
	cp -a "$work/state.before" "$work/state"
	local code=0 sum
	faulty "$1" "$2" trash move "$w" "$work/new" || code=$?
	# What was moved is found by the new path, what was not by the old one; never by both.
	sum=$(($(count "$w") + $(count "$work/new")))
	[ $sum = 5 ] || fail "$2 $1: $sum chunks are left"
	[ "$(count "$work/new")" = 5 ] || expect 0 "$MCFS" trash move "$w" "$work/new"
	[ "$(count "$work/new")" = 5 ] || fail "$2 $1: a second try did not move it"
	expect 0 "$MCFS" trash list
	grep -q "^$work/new: 5 chunks" "$work/stdout" || fail "$2 $1: $(cat "$work/stdout")"
	return $code
}
export MCFS_FAULT_COUNT=$work/calls
try 0 none || fail "it does not work without a fault"
unset MCFS_FAULT_COUNT
calls=$(cat "$work/calls")
[ "$calls" -gt 20 ] || fail "only $calls calls change files"
for ((at = 1 + RANDOM % step; at <= calls; at += step)); do
	! try $at kill || fail "kill $at: it was not killed"
	try $at eio || true
done
echo "$calls calls"

check "back from where it is now, and by a link from where it was"
[ "$(count "$work/new")" = 5 ] || fail "the last one did not move it"
expect 1 "$MCFS" trash list --world "$w"
ln -s "$work/new" "$w"
rm -r "$work/state"
cp -a "$work/state.before" "$work/state"
expect 0 "$MCFS" --json trash move "$w/" "$work/new"
[ "$(json world)" = "$work/new" ] || fail "$(cat "$work/stdout")"
expect 0 "$MCFS" trash restore --world "$w" --all
chunks_of "$work/new" >"$work/now.list"
equal_lists "$work/want.list" "$work/now.list" "restored chunks are others"

check "a prune was killed in the middle of a transaction before the world was moved"
rm "$w"
mv "$work/new" "$work/before"
for ((at = 41; ; at += 2)); do
	rm -rf "$work/state" "$work/new"
	cp -a "$work/before" "$work/new"
	! faulty $at kill prune --world "$work/new" $(head -n 1 "$work/chunks") || fail "no kill left a journal"
	# The second one: something is in the trash, and the world was changed.
	if [ "$(find "$work/state" -name '*.db-journal' -size +0 2>/dev/null)" ]; then
		chunks_of "$work/new" | cmp -s - "$work/want.list" || break
	fi
done
echo "at call $at"
mv "$work/new" "$w"
expect 0 "$MCFS" trash move "$work/new" "$w"
nothing_lost "$work/want.list" "$w" "a journal"
expect 0 "$MCFS" trash apply --world "$w"
expect 0 "$MCFS" trash restore --world "$w" --all
chunks_of "$w" >"$work/now.list"
equal_lists "$work/want.list" "$work/now.list" "after a journal: restored chunks are others"
