#!/bin/bash
# mcfs compact: space comes back, what is kept stays byte for byte, others go on meanwhile.
in_memory=yes
. "${0%/*}/lib.sh"

live=$work/live
export MCFS_STORE=$work/store
expect 0 "$MCFS" init
"$MCFS_DEMO_WORLD" create "$live" --regions 1 --seed 5
for k in 1 2 3 4 5 6; do
	head -c 3000000 /dev/urandom >"$live/noise"
	"$MCFS_DEMO_WORLD" play "$live" --minutes 5 --seed "$k"
	settle
	expect 0 "$MCFS" snapshot "$live"
	[ "$k" != 3 ] || cp -a "$live" "$work/third"
	[ "$k" != 5 ] || cp -a "$live" "$work/fifth"
done
mapfile -t names < <("$MCFS" list | cut -d' ' -f1)

check "nothing to do is nothing done"
before=$(find "$MCFS_STORE/packs" -type f | sort)
expect 0 "$MCFS" --json compact
[ "$(json removed_packs)" = 0 ] || fail "packs that are all needed were removed"
[ "$before" = "$(find "$MCFS_STORE/packs" -type f | sort)" ] || fail "packs changed"

check "forgotten snapshots: a dry run changes nothing and tells what a run frees"
expect 0 "$MCFS" forget "${names[0]}" "${names[1]}" "${names[3]}"
bytes=$(store_bytes "$MCFS_STORE")
expect 0 "$MCFS" --json compact --dry-run
would=$(json freed_bytes)
[ "$(json forgotten)" = 3 ] || fail "the dry run does not count the forgotten ones"
[ "$bytes" = "$(store_bytes "$MCFS_STORE")" ] || fail "a dry run changed the store"
expect 0 "$MCFS" undelete "${names[3]}"
expect 0 "$MCFS" forget "${names[3]}"

check "the space of what only they had comes back"
expect 0 "$MCFS" --json compact
after=$(store_bytes "$MCFS_STORE")
freed=$(json freed_bytes)
echo "$bytes bytes, then $after; the dry run said $would, the run $freed"
[ "$((bytes - after))" -gt 8000000 ] || fail "three times 3 MB of noise were not freed"
diff=$((would - (bytes - after)))
[ "${diff#-}" -lt 1000000 ] || fail "the dry run was wrong by $diff bytes"
[ -z "$(ls "$MCFS_STORE/doomed")" ] && [ -z "$(ls "$MCFS_STORE/locks")" ] || fail "something is left"
expect 0 "$MCFS" check # the data is read below
expect 1 "$MCFS" undelete "${names[0]}"

check "what is kept is what it was, also for a client without a cache"
rm -rf "$MCFS_CACHE_DIR"
expect 0 "$MCFS" restore "${names[2]}" --to "$work/out3"
same "$work/third" "$work/out3/live"
expect 0 "$MCFS" restore "${names[4]}" --to "$work/out5"
same "$work/fifth" "$work/out5/live"
expect 0 "$MCFS" snapshot "$live"
expect 0 "$MCFS" restore latest --to "$work/out7"
same "$live" "$work/out7/live"

check "a client that knows the old places finds the new ones"
cp -a "$MCFS_CACHE_DIR" "$work/old-cache"
expect 0 "$MCFS" forget "${names[2]}"
expect 0 "$MCFS" compact --max-unused 1%
MCFS_CACHE_DIR=$work/old-cache expect 0 "$MCFS" restore "${names[4]}" --to "$work/again5"
same "$work/fifth" "$work/again5/live"

check "with a grace packs wait; a later run removes them"
expect 0 "$MCFS" forget "${names[4]}"
expect 0 "$MCFS" --json compact --grace 2s
[ "$(json removed_packs)" = 0 ] && [ "$(json doomed_packs)" -gt 0 ] || fail "nothing waits"
# Such a list, damaged: told, removed by repair, and made anew.
cp -a "$MCFS_STORE" "$work/blot"
list=$(ls "$work"/blot/doomed/*)
printf '\000\000\000\000' | dd of="$list" bs=1 seek=50 conv=notrunc 2>/dev/null
expect 12 "$MCFS" -s "$work/blot" check
says '^mcfs: doomed/[0-9a-f]+: is damaged'
expect 0 "$MCFS" -s "$work/blot" check --repair
says 'removed: compact decides anew'
[ ! -e "$list" ] || fail "it is there still"
expect 0 "$MCFS" -s "$work/blot" --json compact --grace 0
[ "$(json removed_packs)" -gt 0 ] && [ "$(json doomed_packs)" = 0 ] || fail "nothing went"
[ ! -s "$work/stderr" ] || fail "something is said still"
check_store "$work/blot"
rm -rf "$work/blot"
expect 0 "$MCFS" check
expect 0 "$MCFS" snapshot "$live"
sleep 2.1
expect 0 "$MCFS" --json compact --grace 2s
[ "$(json removed_packs)" -gt 0 ] && [ "$(json doomed_packs)" = 0 ] || fail "nothing went"
check_store "$MCFS_STORE"

check "a damaged store is left alone"
cp -a "$MCFS_STORE" "$work/copy"
expect 0 "$MCFS" forget "${names[5]}"
rm "$(find "$MCFS_STORE/packs" -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)"
count=$(find "$MCFS_STORE/packs" -type f | wc -l)
expect 12 "$MCFS" compact
says 'damaged'
[ "$count" = "$(find "$MCFS_STORE/packs" -type f | wc -l)" ] || fail "packs of a damaged store were removed"
rm -rf "$MCFS_STORE"
mv "$work/copy" "$MCFS_STORE"

check "a store that shows less than was seen is left alone"
cp -a "$MCFS_STORE" "$work/less"
rm -r "$work/less/snapshots"
expect 12 "$MCFS" -s "$work/less" compact
says 'has seen'
[ "$(find "$work/less/packs" -type f | wc -l)" = "$(find "$MCFS_STORE/packs" -type f | wc -l)" ] || fail "packs of hidden snapshots were removed"
expect 12 "$MCFS" -s "$work/less" compact --dry-run
expect 0 "$MCFS" -s "$work/less" --accept-rollback compact --grace 0
[ -z "$(find "$work/less/packs" -type f)" ] || fail "packs that nobody needs stay"
expect 0 "$MCFS" --accept-rollback list
rm -rf "$work/less"

check "a store that lacks one snapshot in the middle is left alone, until that is accepted"
expect 0 "$MCFS" -s "$work/gap" init
for k in 1 2 3; do
	head -c 300000 /dev/urandom >"$work/gap-$k"
	expect 0 "$MCFS" -s "$work/gap" snapshot "$work/gap-$k"
	ls -t "$work/gap/snapshots" | head -n 1 >"$work/gap-id-$k"
done
mv "$work/gap/snapshots/$(cat "$work/gap-id-2")" "$work/away"
expect 12 "$MCFS" -s "$work/gap" compact
says 'gone, though nobody forgot it'
one_clear_line
[ "$(find "$work/gap/packs" -type f | wc -l)" = 3 ] || fail "packs of a hidden snapshot were removed"
mv "$work/away" "$work/gap/snapshots/$(cat "$work/gap-id-2")"
expect 0 "$MCFS" -s "$work/gap" compact
rm "$work/gap/snapshots/$(cat "$work/gap-id-2")"
"$MCFS" -s "$work/gap" check --repair >/dev/null 2>&1 || true
expect 0 "$MCFS" -s "$work/gap" compact --max-unused 1%
[ "$(find "$work/gap/packs" -type f | wc -l)" = 2 ] || fail "what was given up stays"
rm -rf "$work/gap"

check "groups that were kept are compressed again"
expect 0 "$MCFS" -s "$work/later" init --recompress later
expect 0 "$MCFS" -s "$work/later" snapshot "$live"
bytes=$(store_bytes "$work/later")
cp -a "$work/later" "$work/told"
expect 0 "$MCFS" -s "$work/told" compact
says '[1-9][0-9]* groups of chunks were compressed again'
rm -rf "$work/told"
expect 0 "$MCFS" -s "$work/later" --json compact
[ "$(json recompressed_groups)" -gt 0 ] || fail "no group was compressed again"
after=$(store_bytes "$work/later")
echo "$bytes bytes, then $after"
[ "$after" -lt "$bytes" ] || fail "it became no smaller"
expect 0 "$MCFS" -s "$work/later" restore latest --to "$work/later-out"
same "$live" "$work/later-out/live"
expect 0 "$MCFS" -s "$work/later" check

check "what was kept is left alone where inflating it frees less than may be unused"
expect 0 "$MCFS" -s "$work/little" init --recompress later
mkdir "$work/little-live"
small=$(find "$live" -name '*.mca' -size +100k -printf '%s %p\n' | sort -n | head -n 1)
cp "${small#* }" "$work/little-live/"
head -c $((11 * ${small%% *})) /dev/urandom >"$work/little-live/noise"
settle
expect 0 "$MCFS" -s "$work/little" snapshot "$work/little-live"
before=$(find "$work/little" -type f | sort)
expect 0 "$MCFS" -s "$work/little" compact
says '^no pack removed, in '
[ "$before" = "$(find "$work/little" -type f | sort)" ] || fail "something was written or removed"
expect 0 "$MCFS" -s "$work/little" --json compact --recompress 6
[ "$(json recompressed_groups)" -gt 0 ] || fail "told to compress, it did not"
check_store "$work/little"
rm -rf "$work/little" "$work/little-live"

check "what was compressed quickly is compressed better, once"
expect 0 "$MCFS" -s "$work/quick" init --recompress now
expect 0 "$MCFS" -s "$work/quick" snapshot --level 1 "$live"
bytes=$(store_bytes "$work/quick")
expect 0 "$MCFS" -s "$work/quick" --json compact
[ "$(json removed_packs)" = 0 ] || fail "compact without the option did it"
expect 0 "$MCFS" -s "$work/quick" --json compact --recompress 12
after=$(store_bytes "$work/quick")
echo "$bytes bytes, then $after"
[ $((after * 100)) -lt $((bytes * 96)) ] || fail "it became no smaller"
expect 0 "$MCFS" -s "$work/quick" --json compact --recompress 12
[ "$(json removed_packs)" = 0 ] && [ "$(json written_bytes)" = 0 ] || fail "it was done twice"
expect 0 "$MCFS" -s "$work/quick" restore latest --to "$work/quick-out"
same "$live" "$work/quick-out/live"
check_store "$work/quick"
rm -rf "$work/quick" "$work/quick-out"

check "what the store says about that can be set"
expect 0 "$MCFS" -s "$work/later" set
says 'recompress later'
expect 2 "$MCFS" -s "$work/later" set recompress never
expect 2 "$MCFS" -s "$work/later" set parity 5
expect 0 "$MCFS" -s "$work/later" --json set recompress now
expect 0 "$MCFS" -s "$work/later" set slack discard
expect 0 "$MCFS" -s "$work/later" --json set
[ "$(json recompress)" = now ] && [ "$(json slack)" = discard ] || fail "not set"
grep -qx 'recompress now' "$work/later/config" && grep -qx 'slack discard' "$work/later/config" || fail "not in the config"
check_store "$work/later"

check "two at the same time: one gives way and says to whom"
"$MCFS" compact --max-unused 1% >/dev/null 2>&1 &
for k in 1 2 3 4 5; do
	got=0
	"$MCFS" compact --wait 0 >"$work/stdout" 2>"$work/stderr" || got=$?
	[ "$got" = 0 ] || { [ "$got" = 10 ] && says 'host .*process [0-9]+.*since'; } || fail "exit $got"
done
wait

check "usage"
expect 2 "$MCFS" compact --grace tomorrow
one_clear_line
expect 2 "$MCFS" compact --max-unused 0
one_clear_line
expect 2 "$MCFS" compact snapshot
one_clear_line
