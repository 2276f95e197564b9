#!/bin/bash
# mcfs diff: every kind of change is found and called by its name, down to single chunks.
. "${0%/*}/lib.sh"
export MCFS_STORE=$work/store
live=$work/live
expect 0 "$MCFS" init

snap() {
	settle
	expect 0 "$MCFS" snapshot "$live"
}

# diff of the last two snapshots; the arguments are options
changes() {
	local -a names
	mapfile -t names < <("$MCFS" --json list | grep -o '"name":"[^"]*Z[-0-9]*"' | cut -d'"' -f4 | tail -n 2)
	expect 0 "$MCFS" ${verbose:-} diff "$@" "${names[@]}"
	grep -vE '^m .*\(times\)$' "$work/stdout" >"$work/changes" || true
}

# exactly these lines, but for those that only tell of other times
are() {
	printf '%s\n' "$@" | diff - "$work/changes" >"$work/diff" && return
	cat "$work/diff" >&2
	fail "these are not the changes that were made"
}

# ---- files ----

mkdir -p "$live/same/deep" "$live/gone/below" "$live/turns"
for name in same/deep/file gone/below/file changed mode owner touched attribute turns/file; do
	echo "$name" >"$live/$name"
done
ln -s one "$live/link"
snap

check "nothing changed"
snap
changes
are "0 added, 0 removed, 0 changed, 0 with other metadata only"

check "each kind of change"
rm -r "$live/gone" "$live/turns"
echo turned >"$live/turns"
mkdir -p "$live/new/below"
echo new >"$live/new/below/$(printf 'tab\there')"
echo more >>"$live/changed"
chmod 0600 "$live/mode"
touch -d 2001-01-01 "$live/touched"
ln -sfn two "$live/link"
wanted=("m live/mode (mode)")
if is_root; then
	chown 12:34 "$live/owner"
	wanted+=("m live/owner (owner)")
fi
if setfattr -n user.x -v y "$live/attribute" 2>/dev/null; then
	wanted+=("m live/attribute (xattrs)")
fi
n=$((${#wanted[@]} + 2)) # and the times of the directory and the file
snap
changes
head -n -1 "$work/changes" >"$work/files" # without the counts
printf '%s\n' "M live/changed" "- live/gone/" "- live/gone/below/" "- live/gone/below/file" \
	"M live/link (target)" "+ live/new/" "+ live/new/below/" '+ live/new/below/tab\x09here' \
	"M live/turns (type, mode)" "- live/turns/file" "${wanted[@]}" | LC_ALL=C sort -k2,2 >"$work/want"
LC_ALL=C sort -k2,2 "$work/files" | diff "$work/want" - || fail "not the changes that were made"
says "^3 added, 4 removed, 3 changed, $n with other metadata only"
says '^m live/touched \(times\)'

check "the same as JSON, one object"
"$MCFS" --json diff latest latest >"$work/stdout"
grep -qx '{"changes":\[\],"summary":{"added":0,"removed":0,"changed":0,"metadata":0}}' "$work/stdout" ||
	fail "JSON: $(cat "$work/stdout")"
verbose=--json changes
[ "$(wc -l <"$work/stdout")" = 1 ] || fail "more than one object"
says '\{"path":"live/changed","change":"changed","details":\["content","times"\]\}'
says '\{"path":"live/mode","change":"metadata","details":\["mode"\]\}'
says '"summary":\{"added":3,"removed":4,"changed":3,"metadata":'

check "places within snapshots"
expect 0 "$MCFS" diff latest:live/changed latest:live/mode
says "^M mode \(mode\)"
expect 0 "$MCFS" diff latest:live/same latest:live/new
says "^- deep/file"
says '^\+ below/tab'
expect 1 "$MCFS" diff latest:live/absent latest
one_clear_line
expect 2 "$MCFS" diff latest
expect 1 "$MCFS" diff latest 1999

# ---- chunks, written by hand ----

# bytes HEX..
bytes() {
	local hex
	hex=$(printf '%s' "$@")
	# shellcheck disable=SC2059
	printf "$(sed 's/../\\x&/g' <<<"$hex")"
}

# A chunk's NBT: LAST INHABITED VALUE, one digit each
nbt() {
	bytes 0a0000 03000b 446174615665727369 6f6e 00000c21 04000a 4c617374557064617465 000000000000000"$1" \
		04000d 496e6861626974656454696d65 000000000000000"$2" 010005 56616c7565 0"$3" 00
}

at() { # FILE OFFSET: put standard input there
	dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# put FILE SLOT SECTOR STAMP TYPE: standard input becomes a chunk
put() {
	local size
	cat >"$work/stream"
	size=$(($(stat -c %s "$work/stream") + 1))
	{
		bytes "$(printf '%08x%02x' $size "$5")"
		cat "$work/stream"
	} | at "$1" $(($3 * 4096))
	bytes "$(printf '%06x01' "$3")" | at "$1" $(($2 * 4))
	bytes "$(printf '%08x' "$4")" | at "$1" $((4096 + $2 * 4))
}

rm -rf "${live:?}"/*
mkdir "$live/region"
region=$live/region/r.-1.2.mca
truncate -s 40960 "$region" # ten sectors
nbt 1 1 1 | put "$region" 0 2 100 3    # stays
nbt 1 1 1 | put "$region" 1 3 100 3    # changes
nbt 1 1 1 | put "$region" 33 4 100 3   # other times in it
nbt 1 1 1 | put "$region" 34 5 100 3   # another time stamp only
nbt 1 1 1 | put "$region" 1023 6 100 3 # goes
nbt 1 1 1 | put "$region" 64 7 100 3   # is compressed
snap
nbt 1 1 2 | put "$region" 1 3 101 3
nbt 5 6 1 | put "$region" 33 4 101 3
bytes 00000065 | at "$region" $((4096 + 34 * 4))
bytes 00000000 | at "$region" $((1023 * 4))
nbt 1 1 1 | gzip -n | put "$region" 64 8 100 1
nbt 1 1 1 | put "$region" 512 9 101 3 # comes
snap

check "chunks: created, gone, changed, only times"
changes --chunks
are "M live/region/r.-1.2.mca" "  C c.-31.64 changed" "  C c.-31.65 times" "  C c.-30.65 times" \
	"  C c.-32.80 created" "  C c.-1.95 gone" \
	"0 added, 0 removed, 1 changed, 0 with other metadata only" \
	"chunks: 1 created, 1 gone, 1 changed, 2 with other times only"
verbose=-v changes --chunks
says "^  C c.-32.66 same$"
verbose=--json changes --chunks
says '"chunks":\[\{"x":-31,"z":64,"change":"changed"\},'
says '"summary":\{.*"chunks":\{"created":1,"gone":1,"changed":1,"times":2\}\}'

check "chunks that cannot be read are not taken for absent"
bytes 000000ff01 | at "$region" 12288 # a length, but not of a stream
bytes 7fffff01 | at "$region" $((512 * 4))
snap
changes --chunks
are "M live/region/r.-1.2.mca" "  C c.-31.64 changed (unreadable)" "  C c.-32.80 changed (unreadable)" \
	"0 added, 0 removed, 1 changed, 0 with other metadata only" \
	"chunks: 0 created, 0 gone, 2 changed, 0 with other times only"

check "chunks in .mcc files"
printf '' | put "$region" 0 2 100 131
nbt 1 1 1 >"$live/region/c.-32.64.mcc"
snap
nbt 1 1 2 >"$live/region/c.-32.64.mcc"
snap
changes --chunks
are "M live/region/c.-32.64.mcc" "  C c.-32.64 changed" \
	"0 added, 0 removed, 1 changed, 0 with other metadata only" \
	"chunks: 0 created, 0 gone, 1 changed, 0 with other times only"
nbt 9 1 2 >"$live/region/c.-32.64.mcc"
bytes 00000065 | at "$region" 4096
snap
changes --chunks
are "M live/region/c.-32.64.mcc" "M live/region/r.-1.2.mca" "  C c.-32.64 times" \
	"0 added, 0 removed, 2 changed, 0 with other metadata only" \
	"chunks: 0 created, 0 gone, 0 changed, 1 with other times only"
rm "$live/region/c.-32.64.mcc"
snap
changes --chunks
are "- live/region/c.-32.64.mcc" "  C c.-32.64 changed (unreadable)" \
	"0 added, 1 removed, 0 changed, 1 with other metadata only" \
	"chunks: 0 created, 0 gone, 1 changed, 0 with other times only"

check "a whole region file: its chunks are gone"
rm "$region"
snap
changes --chunks
says "^chunks: 0 created, 6 gone, 0 changed"

# ---- a world that is played on ----

check "a world that is played on"
rm -rf "${live:?}"
"$MCFS_DEMO_WORLD" create "$live" --regions 1 --seed 3
snap
"$MCFS_DEMO_WORLD" play "$live" --minutes 10
snap
changes --chunks
grep -q "C c\..* changed" "$work/changes" || fail "nobody has played"
grep -q "C c\..* times" "$work/changes" || fail "no chunk was saved for its times only"
