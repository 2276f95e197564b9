#!/bin/bash
# Makes the golden store anew: only when the format changes on purpose, with a new format number.
#
#   MCFS=.. MCFS_DEMO_WORLD=.. tests/golden/make.sh
set -euo pipefail
here=$(cd "${0%/*}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work MCFS_CACHE_DIR=$work/cache MCFS_STATE_DIR=$work/state TZ=UTC LC_ALL=C
export MCFS_KEY_FILE=$here/key MCFS_STORE=$here/store
unset MCFS_PASSPHRASE MCFS_PASSPHRASE_FILE MCFS_PASSPHRASE_COMMAND

src=$work/golden
mkdir -p "$src/region" "$src/empty"
"$MCFS_DEMO_WORLD" create "$work/world" --regions 1 --seed 42
take() {
	cp "$work/world/DIM1/poi/r.0.0.mca" "$src/region/r.0.0.mca"
	cp "$work/world/DIM1/entities/r.0.0.mca" "$src/region/r.-1.0.mca"
	cp "$work/world/level.dat" "$work"/world/data/map_0.dat "$src/"
}
take
: >"$src/region/r.1.0.mca"
: >"$src/zero"
echo hello >"$src/hello"
ln "$src/hello" "$src/hello-again"
ln -s hello "$src/link"
ln -s nowhere "$src/dangling"
truncate -s 3000000 "$src/sparse"
printf 'data' | dd of="$src/sparse" bs=1 seek=1500000 conv=notrunc 2>/dev/null
seq 1 20000 >"$src/text"
printf 'x' >"$src/$(printf 'not utf-8 \377')"
chmod 4750 "$src/hello"
mkfifo "$src/fifo"
# Large enough for several pieces, small in the store.
awk 'BEGIN { for (i = 0; i < 120000; i++) print "line", i % 977, i % 31 }' >"$src/pieces"

settle() { # fixed times, and the clock moves on
	find "$src" ! -type l -exec touch -d '2026-01-02 03:04:05.123456789' {} +
	find "$src" -type l -exec touch -h -d '2026-01-02 03:04:05.5' {} +
	sleep 0.2
}

# What must come out: type, mode, size, links, time, target, sha256, name.
expected() {
	(cd "$src" && find . -mindepth 1 -printf '%y %m %s %n %T@ %l|%P\0' | sort -z -t'|' -k2 | tr '\0\n' '\n\1'
	find . -type f -print0 | sort -z | xargs -0 sha256sum)
}

rm -rf "$here/store" "$here/expected"
mkdir "$here/expected"
"$MCFS" -q init
settle
"$MCFS" -q snapshot --tag first "$src"
expected >"$here/expected/first"
"$MCFS_DEMO_WORLD" play "$work/world" --minutes 10 --seed 3
take
echo changed >>"$src/text"
sed -i 1000d "$src/pieces"
settle
"$MCFS" -q snapshot --tag second "$src"
expected >"$here/expected/second"
# Kept forms: a region file and a stream of over 24 KiB that are new, as they are.
"$MCFS_DEMO_WORLD" create "$work/other" --regions 1 --seed 43
cp "$work/other/DIM1/entities/r.0.0.mca" "$src/region/r.7.7.mca"
awk 'BEGIN { for (i = 1; i < 12000; i++) print i * i * 7919 % 1000003 }' | gzip -n -6 >"$src/kept.dat"
settle
"$MCFS" -q snapshot --recompress later --tag third "$src"
expected >"$here/expected/third"
rm -rf "$here/store/tmp" "$here/store/locks"
chmod -R go+r "$here/store"
du -sh "$here/store"
