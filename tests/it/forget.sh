#!/bin/bash
# Snapshots are forgotten by name and by rules, come back, and a store that lost some is refused.
. "${0%/*}/lib.sh"

export MCFS_STORE=$work/store
src=$work/src
mkdir "$src"
expect 0 "$MCFS" init
for i in 1 2 3 4 5; do
	echo "content $i" >"$src/file"
	settle
	expect 0 "$MCFS" --json snapshot "$src" --tag "t$i"
	names[i]=$(json name)
done

check "by name, and back, byte for byte"
expect 1 "$MCFS" forget no-such-snapshot
one_clear_line
expect 2 "$MCFS" forget
one_clear_line
expect 2 "$MCFS" forget "${names[1]}" --keep-last 1
expect 2 "$MCFS" forget --keep-daily many
one_clear_line
expect 0 "$MCFS" forget --dry-run "${names[2]}" "${names[4]}"
expect 0 "$MCFS" --json list
[ "$(grep -o '"id"' "$work/stdout" | wc -l)" = 5 ] || fail "--dry-run forgot"
expect 0 "$MCFS" forget "${names[2]}" "${names[4]}"
says '^3 snapshots kept, 2 forgotten'
expect 1 "$MCFS" info "${names[2]}"
expect 0 "$MCFS" undelete
says "${names[2]}.*forgotten"
expect 1 "$MCFS" undelete "${names[1]}"
one_clear_line
expect 0 "$MCFS" undelete "${names[2]}"
expect 0 "$MCFS" cat "${names[2]}:src/file"
says '^content 2$'
expect 0 "$MCFS" info "${names[2]}"
says '^tag +t2$'
expect 0 "$MCFS" undelete --all
expect 0 "$MCFS" undelete
says 'no forgotten'
check_store "$MCFS_STORE"

check "rules"
expect 0 "$MCFS" forget --keep-last 2 --keep-tag t1 --dry-run
says "^keep +${names[5]} .*last #1"
says "^keep +${names[1]} .*tag t1"
says "^forget +${names[3]}"
says '2 would be forgotten'
expect 0 "$MCFS" --json forget --keep-last 2 --keep-tag t1
says "\"forgotten\":\[\{\"name\":\"${names[3]}\""
expect 0 "$MCFS" --json list
[ "$(grep -o '"id"' "$work/stdout" | wc -l)" = 3 ] || fail "not three are left"
# All of one day: the newest is kept, whatever its groups are called.
expect 0 "$MCFS" forget --keep-daily 1 --group-by none
says '1 snapshot kept, 2 forgotten'
expect 0 "$MCFS" undelete --all
expect 0 "$MCFS" undelete --all
says "no forgotten snapshots"

check "the newest forgotten is no rollback; the newest removed is one"
expect 0 "$MCFS" forget latest
expect 0 "$MCFS" list
expect 0 "$MCFS" snapshot "$src"
cp -a "$MCFS_STORE" "$work/older"
echo more >"$src/more"
expect 0 "$MCFS" --json snapshot "$src"
newest=$(json id)
mv "$MCFS_STORE/snapshots/$newest" "$work/removed"
for command in list "snapshot $src" "forget --keep-last 1" undelete; do
	expect 12 "$MCFS" $command
	one_clear_line
	says 'accept-rollback'
done
mv "$work/removed" "$MCFS_STORE/snapshots/$newest"
expect 0 "$MCFS" list
expect 12 "$MCFS" -s "$work/older" list
expect 0 "$MCFS" -s "$work/older" --accept-rollback list
says 'accepted as asked'
expect 0 "$MCFS" -s "$work/older" list
expect 0 env MCFS_ACCEPT_ROLLBACK=1 "$MCFS" list
check_store "$MCFS_STORE"

check "killed between the two steps of forget: still there, and forgotten again"
id=$(basename "$(ls "$MCFS_STORE"/snapshots/* | head -n 1)")
cp "$MCFS_STORE/snapshots/$id" "$work/kept"
expect 0 "$MCFS" forget "${id:0:8}"
cp "$work/kept" "$MCFS_STORE/snapshots/$id"
expect 0 "$MCFS" info "${id:0:8}"
expect 0 "$MCFS" undelete
if grep -q "${id:0:8}" "$work/stdout"; then fail "it is listed as forgotten"; fi
expect 0 "$MCFS" forget "${id:0:8}"
expect 0 "$MCFS" undelete "${id:0:8}"
expect 0 "$MCFS" info "${id:0:8}"
