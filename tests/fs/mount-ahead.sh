# What is decoded ahead of a reader: of one who goes straight on, what comes; of one who reads a little here
# and there, nothing, though in a small file all is near; of a group of which much was wanted, the rest.
. "$(dirname "$0")/lib.sh"

expect 0 "$MCFS" -s "$MCFS_STORE" init
expect 0 "$MCFS_DEMO_WORLD" create "$work/world" --regions 1 --seed 1
expect 0 "$MCFS" snapshot "$work/world"
region=region/r.0.0.mca
pages=$(($(stat -c %s "$work/world/$region") / 4096))
[ $pages -gt 500 ] || fail "the region file is too small for this test"

fresh() { # a mount that has read nothing, without what the kernel kept of the one before
	mount_store
	shown=$mnt/snapshots/latest/world/$region
}
page() { # N..: reads these pages, each by itself, and compares
	local n
	for n in "$@"; do
		dd if="$shown" bs=4096 count=1 skip="$n" status=none |
			cmp -s - <(dd if="$work/world/$region" bs=4096 count=1 skip="$n" status=none) ||
			fail "page $n is different"
	done
}

check "twelve pages here and there, within 1 MiB"
fresh
page 210 40 150 95 240 10 180 60 125 225 25 165
# Three in one group make it worth while.
ahead=$(counter ahead)
[ "$ahead" -le 4 ] || fail "$ahead groups were decoded ahead of somebody who does not go on"
umount_store

check "every seventh page of the file, backwards"
fresh
# shellcheck disable=SC2046
page $(seq $((pages - 1)) -7 0)
ahead=$(counter ahead)
[ "$ahead" -gt 0 ] || fail "nothing was decoded ahead, though all groups were read from again and again"
[ "$ahead" -le 40 ] || fail "$ahead times something was decoded ahead; there are 32 groups"
umount_store

check "from the beginning to the end"
fresh
cmp "$shown" "$work/world/$region" || fail "the file is different"
ahead=$(counter ahead)
[ "$ahead" -gt 10 ] || fail "only $ahead groups were decoded ahead of a straight reader"
umount_store
