#!/bin/bash
# Stores, restored files and worlds on a file system that holds files and little else (plain_fs.c): a USB
# disk, a network share, a shared folder of a virtual machine.
. "${0%/*}/lib.sh"
. "${0%/*}/prune-lib.sh"
: "${MCFS_PLAIN_FS_LIB:?plain_fs.so}"
is_root || skip "only root is told about owners"

plainly() { # COMMAND..
	env LD_PRELOAD="$MCFS_PLAIN_FS_LIB" ASAN_OPTIONS="${ASAN_OPTIONS:-}:verify_asan_link_order=0" "$@"
}

w=$work/world
"$MCFS_DEMO_WORLD" create "$w" --regions 1 --seed 5 >/dev/null
mkdir "$w/extra"
echo one >"$w/extra/one"
ln "$w/extra/one" "$w/extra/two"
ln -s one "$w/extra/three"
chown 12:34 "$w/extra/one"
chmod 4755 "$w/extra/one"
setfattr -n user.note -v x "$w/extra/one" 2>/dev/null || echo "no attributes here"
for n in $(seq 20); do echo "$n" >"$w/extra/n$n"; done
chown -R 12:34 "$w/extra"
find "$w" -exec touch -hd '2024-02-03 04:05:06.789' {} +

check "the whole life of a store"
export MCFS_STORE=$work/store
expect 0 plainly "$MCFS" init
expect 1 plainly "$MCFS" init
says 'holds a store already'
expect 0 plainly "$MCFS" snapshot "$w"
"$MCFS_DEMO_WORLD" play "$w" --seed 6 >/dev/null
find "$w" -newermt '2024-03-01' -exec touch -hd '2024-02-03 04:05:06.789' {} +
expect 0 plainly "$MCFS" snapshot "$w"
expect 0 plainly "$MCFS" parity add 5%
expect 0 plainly "$MCFS" tag latest +x
expect 0 plainly "$MCFS" key add recovery
expect 0 plainly "$MCFS" key export "$work/exported.key"
expect 1 plainly "$MCFS" key export "$work/exported.key"
says 'File exists'
expect 0 plainly "$MCFS" forget latest~1
expect 0 plainly "$MCFS" compact --grace 0
expect 0 plainly "$MCFS" check --read-data
expect 0 "$MCFS" restore latest:world --to "$work/ordinary"
same "$w" "$work/ordinary/world"

check "restored there: all contents and times, the rest named in a few lines"
expect 3 plainly "$MCFS" restore latest:world --to "$work/plain"
says "world/DIM-1.*: owner, mode could not be set"
says "world/extra/two: .*is a copy"
says "world/extra/three: make the symbolic link"
says "[0-9]+ more: owner"
[ "$(wc -l <"$work/stderr")" -le 25 ] || fail "$(wc -l <"$work/stderr") lines about 20 small files"
rm "$w/extra/three"
touch -d '2024-02-03 04:05:06.789' "$w/extra"
diff -r "$w" "$work/plain/world" || fail "contents differ"
times() { (cd "$1" && find . -printf '%P %T@\n' | sort); }
diff <(times "$w") <(times "$work/plain/world") || fail "times differ"
expect 3 plainly "$MCFS" --json restore latest:world --to "$work/plain"
[ "$(grep -c '"type":"problem"' "$work/stdout")" -gt 25 ] || fail "a machine is not told all of them"

check "who owns a file now must not get its set-uid bit"
expect 3 plainly env PLAIN_FS_MODES=1 "$MCFS" restore latest:world --to "$work/modes"
[ "$(stat -c %a "$work/modes/world/extra/one")" = 755 ] || fail "mode $(stat -c %a "$work/modes/world/extra/one")"

check "chunks leave a world and come back"
chunks_of "$w" >"$work/want.list"
some=$(grep -E '^(dimensions/minecraft/overworld/)?region ' "$work/want.list" | cut -d' ' -f2 | awk 'NR <= 30')
for round in "the server's lock file is there" "and is not"; do
	expect 0 plainly "$MCFS" prune --world "$w" --dimension overworld $some
	says 'pruned'
	expect 0 plainly "$MCFS" prune --world "$w" --repack
	expect 0 plainly "$MCFS" trash restore --world "$w" --all
	chunks_of "$w" >"$work/got.list"
	equal_lists "$work/want.list" "$work/got.list" "$round: not all chunks came back"
	rm "$w/session.lock"
done
