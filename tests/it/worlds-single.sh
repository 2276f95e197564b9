#!/bin/bash
# Every single world at hand, damaged ones included, comes back byte for byte.
in_memory=yes
. "${0%/*}/lib.sh"

worlds=${MCFS_WORLDS:-$MCFS_SOURCE_ROOT/../shared/worlds}
[ -d "$worlds/single" ] || skip "no real worlds here (MCFS_WORLDS)"

export MCFS_STORE=$work/store
expect 0 "$MCFS" init
for world in "$worlds"/single/*/; do
	world=${world%/}
	check "${world##*/}"
	expect 0 "$MCFS" --json snapshot "$world"
	[ "$(json problems)" = 0 ] || fail "$(json problems) problems"
	expect 0 "$MCFS" restore latest --to "$work/restored"
	same "$world" "$work/restored/${world##*/}"
	rm -rf "$work/restored"
done

check "all of them again as one snapshot, which adds next to nothing"
before=$(store_bytes "$work/store")
expect 0 "$MCFS" snapshot "$worlds/single"
grown=$(($(store_bytes "$work/store") - before))
[ "$grown" -lt 200000 ] || fail "what was there already added $grown bytes"
rm -rf "$MCFS_CACHE_DIR"
expect 0 "$MCFS" restore latest:single/ --to "$work/restored" --verify
same "$worlds/single" "$work/restored"
check_store "$work/store"
