#!/bin/bash
# A store that an earlier mcfs has made, checked in, still opens and gives back every byte: the
# format does not change by accident. When it changes on purpose: tests/golden/make.sh.
. "${0%/*}/lib.sh"
: "${MCFS_GOLDEN:?where the golden store is}"
[ -d "$MCFS_GOLDEN/store" ] || fail "there is no golden store: run tests/golden/make.sh"

cp -r "$MCFS_GOLDEN/store" "$work/store"
export MCFS_STORE=$work/store MCFS_KEY_FILE=$MCFS_GOLDEN/key

listing_of() { # DIR: as make.sh wrote it
	(cd "$1" && find . -mindepth 1 -printf '%y %m %s %n %T@ %l|%P\0' | sort -z -t'|' -k2 | tr '\0\n' '\n\1'
	find . -type f -print0 | sort -z | xargs -0 sha256sum)
}

# Sizes of directories, and links to them, are the file system's business.
comparable() {
	sed -E 's/^d ([0-9]+) [0-9]+ [0-9]+ /d \1 /'
}

[ "$("$MCFS" list | wc -l)" = 3 ] || fail "three snapshots were expected"
for tag in first second third; do
	check "$tag"
	name=$("$MCFS" list | sed -n "s/^\([^ ]*\).*+$tag\$/\1/p")
	expect 0 "$MCFS" restore "$name:golden/" --to "$work/$tag" --verify
	listing_of "$work/$tag" | comparable >"$work/got"
	comparable <"$MCFS_GOLDEN/expected/$tag" >"$work/want"
	cmp "$work/want" "$work/got" || { diff -a "$work/want" "$work/got" | head -n 20 >&2; fail "$tag is different"; }
	[ "$(stat -c %b "$work/$tag/sparse")" -lt 100 ] || fail "the hole was filled"
done

check "the third has a region file's groups and a stream as they were in the files"
cp -r "$work/store" "$work/copy"
expect 0 "$MCFS" -s "$work/copy" --json compact --recompress 6
[ "$(json recompressed_groups)" -ge 2 ] || fail "there was nothing to inflate"
expect 0 "$MCFS" -s "$work/copy" restore "$name:golden/" --to "$work/inflated" --verify
same "$work/third" "$work/inflated"
check_store "$work/copy"

check "without its config, from the second copy"
rm "$work/copy/config"
expect 0 "$MCFS" -s "$work/copy" list
says 'its second copy is used'
expect 0 "$MCFS" -s "$work/copy" check --repair
check_store "$work/copy"

check "a new snapshot on top of it"
mkdir "$work/src"
cp -a "$work/second/." "$work/src/"
expect 0 "$MCFS" snapshot "$work/src"
expect 0 "$MCFS" restore latest --to "$work/again"
same "$work/second" "$work/again/src"
check_store "$work/store"
