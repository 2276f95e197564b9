#!/bin/bash
# A file of 100 GiB that is nearly all hole: quick, small, and comes back.
. "${0%/*}/lib.sh"

mkdir "$work/src"
big=$work/src/big
truncate -s 100G "$big" 2>/dev/null || skip "this file system has no files of 100 GiB"
put() { # OFFSET TEXT
	printf '%s' "$2" | dd of="$big" bs=1 seek="$1" conv=notrunc 2>/dev/null
}
offsets='0 4096 5000000 42949672961 107374182399'
for at in $offsets; do
	put "$at" x
done
[ "$(stat -c %b "$big")" -lt 1000 ] || skip "no sparse files on this file system"
export MCFS_STORE=$work/store

check "snapshot and restore"
expect 0 "$MCFS" init
expect 0 "$MCFS" snapshot "$work/src"
expect 0 "$MCFS" restore latest --to "$work/out"
[ "$(stat -c %s "$work/out/src/big")" = 107374182400 ] || fail "the size is wrong"
[ "$(stat -c %b "$work/out/src/big")" -lt 2000 ] || fail "the holes were filled"

check "each of the bytes in it, and a neighbour of each"
for at in $offsets; do
	got=$(dd if="$work/out/src/big" bs=1 skip="$at" count=1 2>/dev/null | od -An -tx1)
	[ "$got" = ' 78' ] || fail "byte $at is '$got'"
	[ "$at" = 0 ] && continue
	got=$(dd if="$work/out/src/big" bs=1 skip="$((at - 1))" count=1 2>/dev/null | od -An -tx1)
	[ "$got" = ' 00' ] || fail "byte $((at - 1)) is '$got'"
done

check "it takes next to nothing in the store"
[ "$(store_bytes "$work/store")" -lt 100000 ] || fail "it takes $(store_bytes "$work/store") bytes"
