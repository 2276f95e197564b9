# Pruning by mv, and back: one chunk, a region's folder, what is damaged; from a snapshot by cp. All
# other chunks stay what they were, byte for byte, by a reader that shares no code with the engine;
# renameat2's flags; the ways that are refused; readers at work meanwhile.
. "$(dirname "$0")/lib.sh"

w=$work/world
live=$mnt/chunks/live/world/overworld
trash=$mnt/trash/world/overworld
expect 0 "$MCFS_DEMO_WORLD" create "$w" --regions 1
expect 0 "$MCFS" -s "$MCFS_STORE" init
expect 0 "$MCFS" snapshot "$w"
chunks() { # without where they lie
	"$MCFS_DEMO_WORLD" chunks "$w" | sort
}
of() { # X Z: lines of this chunk
	grep -E "^(region|entities|poi)/r\.[-0-9]+\.[-0-9]+\.mca $1 $2 " "$work/$3" || true
}
without() { # X Z
	grep -vE "^(region|entities|poi)/r\.[-0-9]+\.[-0-9]+\.mca $1 $2 " "$work/before" || true
}
chunks >"$work/before"
mount_store --world "$w"
[ "$(ls "$mnt/chunks" | tr '\n' ' ')" = "$(latest) latest live " ] || fail "chunks/: $(ls "$mnt/chunks")"

check "one chunk to the trash"
cp "$live/r.0.0/c.3.4.nbt" "$work/c"
mv "$live/r.0.0/c.3.4.nbt" "$trash/"
[ ! -e "$live/r.0.0/c.3.4.nbt" ] || fail "it is still there"
[ ! -e "$live/r.0.0/entities/c.3.4.nbt" ] || fail "its entities are still there"
[ "$(ls "$trash")" = c.3.4.nbt ] || fail "the trash has $(ls "$trash")"
cmp "$work/c" "$trash/c.3.4.nbt" || fail "the trash has other bytes"
for a in trash.by trash.state trash.why dimension; do
	getfattr --absolute-names -n user.mcfs.$a "$trash/c.3.4.nbt" >/dev/null || fail "no attribute $a"
done
[ "$(getfattr --absolute-names --only-values -n user.mcfs.trash.state "$trash/c.3.4.nbt")" = kept ] || fail "state"
chunks >"$work/now"
without 3 4 | cmp - "$work/now" || fail "other chunks have changed"
expect 0 "$FS_TOOL" chunks "$w" "$live"
expect 0 "$MCFS_DEMO_WORLD" verify "$w"

check "and back"
mv "$trash/c.3.4.nbt" "$live/r.0.0/"
[ -z "$(ls "$trash")" ] || fail "it is still in the trash"
chunks | cmp "$work/before" - || fail "the world is not what it was"
cmp "$work/c" "$live/r.0.0/c.3.4.nbt" || fail "other bytes"

check "renameat2: no replacing, no exchange"
mv "$live/r.0.0/c.3.4.nbt" "$trash/"
for f in 2 4 6; do # EXCHANGE, WHITEOUT
	[ "$("$FS_TOOL" rename "$live/r.0.0/c.4.4.nbt" "$trash/c.3.4.nbt" $f)" = EINVAL ] || fail "flag $f"
done
cp "$mnt/chunks/latest/world/overworld/r.0.0/c.3.4.nbt" "$live/r.0.0/"
[ "$("$FS_TOOL" rename "$live/r.0.0/c.3.4.nbt" "$trash/c.3.4.nbt" 1)" = EEXIST ] || fail "NOREPLACE"
[ "$("$FS_TOOL" rename "$trash/c.3.4.nbt" "$live/r.0.0/c.3.4.nbt" 1)" = EEXIST ] || fail "NOREPLACE"
[ "$("$FS_TOOL" rename "$live/r.0.0/c.3.4.nbt" "$live/r.0.0/c.3.4.nbt" 0)" = done ] || fail "to itself"
[ "$("$FS_TOOL" rename "$live/r.0.0/c.4.4.nbt" "$trash/c.4.4.nbt" 1)" = done ] || fail "a plain one"
[ "$("$FS_TOOL" rename "$trash/c.4.4.nbt" "$live/r.0.0/c.4.4.nbt" 1)" = done ] || fail "and back"
chunks | cmp "$work/before" - || fail "the world is not what it was"

check "pruned twice: both are in the trash, replacing loses nothing"
mv -f "$live/r.0.0/c.3.4.nbt" "$trash/"
[ "$(ls "$trash" | wc -l)" = 2 ] || fail "the trash has $(ls "$trash")"
cp "$mnt/chunks/latest/world/overworld/r.0.0/c.3.4.nbt" "$live/r.0.0/"
mv -f "$trash/c.3.4.nbt" "$live/r.0.0/"
[ "$(ls "$trash" | wc -l)" -ge 1 ] || fail "the older one is gone"
chunks | cmp "$work/before" - || fail "the world is not what it was"

check "into trash/ itself, or the world's folder there: it lands in the dimension's"
for to in "$mnt/trash" "$mnt/trash/world"; do
	in_it=$(ls "$to" | tr '\n' ' ' | sed 's/ $//')
	mv "$live/r.0.0/c.5.5.nbt" "$to/"
	[ -e "$to/c.5.5.nbt" ] || fail "mv would not see that it went there"
	[ ! -e "$to/c.5.5.nbt" ] || fail "it is in ${to#"$mnt"} as well"
	[ "$(ls "$to" | tr '\n' ' ')" = "$in_it " ] || fail "it is listed in ${to#"$mnt"}"
	[ -f "$trash/c.5.5.nbt" ] || fail "it is not in the dimension's folder"
	mv "$trash/c.5.5.nbt" "$live/r.0.0/"
done
mv "$mnt/chunks/live/world/the_end/r.0.0" "$mnt/trash/"
mv "$live/r.0.0/c.7.5.nbt" "$live/r.0.0/c.8.5.nbt" "$live/r.0.0/c.9.5.nbt" "$mnt/trash/" ||
	fail "mv of several"
mv "$trash/c.7.5.nbt" "$trash/c.8.5.nbt" "$trash/c.9.5.nbt" "$live/r.0.0/"
[ -n "$(ls "$mnt/trash/world/the_end")" ] || fail "the region is not in the trash"
mkdir -p "$mnt/chunks/live/world/the_end/r.0.0"
mv "$mnt/trash/world/the_end/"* "$mnt/chunks/live/world/the_end/r.0.0/"
chunks | cmp "$work/before" - || fail "the world is not what it was"

check "refused: elsewhere, with another name, by rm"
for to in "$trash/c.9.9.nbt" "$mnt/trash/world/the_end/c.5.5.nbt" "$live/r.0.0/c.30.30.nbt" \
	"$live/c.5.5.nbt" "$mnt/trash/c.9.9.nbt"; do
	got=$("$FS_TOOL" rename "$live/r.0.0/c.5.5.nbt" "$to" 0)
	case $got in EPERM | EROFS | EEXIST) ;; *) fail "to ${to#"$mnt"}: $got" ;; esac
done
[ "$("$FS_TOOL" rename "$live/r.0.0/c.5.5.nbt" "$mnt/live/world/c.5.5.nbt" 0)" = EROFS ] || fail "to live/"
[ "$("$FS_TOOL" rename "$mnt/chunks/latest/world/overworld/r.0.0/c.5.5.nbt" \
	"$live/r.0.0/c.5.5.nbt" 0)" = EROFS ] || fail "from a snapshot"
one=$(any_chunk "$live/r.0.0/entities")
[ "$("$FS_TOOL" rename "$live/r.0.0/entities/$one" "$trash/$one" 0)" = EPERM ] || fail "entities alone"
one=$(any_chunk "$trash")
expect 1 rm "$trash/$one"
says 'Operation not permitted'
expect 1 rm -f "$live/r.0.0/c.5.5.nbt"
expect 1 rmdir "$live/r.0.0"
grep -q -- '--trash-rm' "$work/log" || fail "nothing says how to remove from the trash"
chunks | cmp "$work/before" - || fail "the world is not what it was"

check "cp from a snapshot: the snapshot's own bytes, entities and poi with it"
from=$mnt/chunks/latest/world/overworld
mv "$live/r.0.0/c.6.6.nbt" "$live/r.0.0/c.1.1.nbt" "$trash/"
cp "$from/r.0.0/c.6.6.nbt" "$live/r.0.0/"
cp -p "$from/r.0.0/c.1.1.nbt" "$live/r.0.0/"
chunks | cmp "$work/before" - || fail "the world is not what it was"
cp -a "$from/r.0.0/c.1.1.nbt" "$live/r.0.0/"
cp -r "$from/r.0.0" "$live/"
cp -a "$from/r.0.0" "$live/" 2>"$work/stderr" || fail "cp -a of a region: $(cat "$work/stderr")"
cp -r --preserve=all,xattr "$from/r.0.0/poi" "$live/r.0.0/" 2>"$work/stderr" || fail "with its attributes: $(cat "$work/stderr")"
chunks | cmp "$work/before" - || fail "copying what is there changes something"

check "cp of the large one, that has a file of its own"
[ -e "$w/region/c.5.3.mcc" ] || fail "no such file"
cp "$live/r.0.0/c.5.3.nbt" "$work/large"
mv "$live/r.0.0/c.5.3.nbt" "$trash/"
[ ! -e "$w/region/c.5.3.mcc" ] || fail "its file is still there"
cp "$work/large" "$live/r.0.0/c.5.3.nbt"
[ -e "$w/region/c.5.3.mcc" ] || fail "its file has not come back"
chunks | cmp "$work/before" - || fail "the world is not what it was"

check "by hand: a chunk that no snapshot has; what is none"
mv "$live/r.0.0/c.6.6.nbt" "$trash/"
expect 1 cp "$work/c" "$live/r.0.0/c.6.6.nbt"
grep -q 'what was written is chunk 3,4, which belongs into r.0.0/c.3.4.nbt' "$work/log" ||
	fail "nothing says where it belongs"
[ ! -e "$live/r.0.0/c.6.6.nbt" ] || fail "a refused chunk appears"
expect 1 cp /etc/passwd "$live/r.0.0/c.6.6.nbt"
expect 1 cp /etc/passwd "$live/r.0.0/passwd"
for kind in entities poi; do
	expect 1 cp "$from/r.0.0/c.6.6.nbt" "$live/r.0.0/$kind/"
	grep -q "no chunk for $kind/" "$work/log" || fail "nothing says why a chunk does not go to $kind"
	one=$(any_chunk "$live/r.0.0/$kind")
	expect 0 cp "$live/r.0.0/$kind/$one" "$work/edited"
	printf '\x01' | dd of="$work/edited" bs=1 seek=$(($(stat -c %s "$work/edited") - 3)) conv=notrunc status=none
	expect 1 cp "$work/edited" "$live/r.0.0/$one"
done
printf '\n\0\0\0' >"$work/empty"
expect 1 cp "$work/empty" "$live/r.0.0/c.6.6.nbt"
grep -q 'no chunk for region/' "$work/log" || fail "the log does not say what is wrong"
chunks >"$work/now"
without 6 6 | cmp - "$work/now" || fail "other chunks have changed"
cp "$from/r.0.0/c.6.6.nbt" "$work/edited"
# One byte of a light array or palette: NBT stays NBT.
printf '\x01' | dd of="$work/edited" bs=1 seek=$(($(stat -c %s "$work/edited") / 2)) conv=notrunc status=none
if cp "$work/edited" "$live/r.0.0/c.6.6.nbt" 2>/dev/null; then
	cmp "$work/edited" "$live/r.0.0/c.6.6.nbt" || fail "other bytes than were written"
	expect 0 "$FS_TOOL" chunks "$w" "$live"
fi
cp "$from/r.0.0/c.6.6.nbt" "$live/r.0.0/"
chunks | cmp "$work/before" - || fail "the world is not what it was"
# Its trash does not go elsewhere meanwhile.
mv "$w" "$w.moved"
expect 10 "$MCFS" trash move "$w" "$w.moved"
mv "$w.moved" "$w"
umount_store

check "a region's folder; rm with --trash-rm; all back"
mount_store --world "$w" --trash-rm
rm "$trash"/*
[ -z "$(ls "$trash")" ] || fail "not removed"
live=$mnt/chunks/live/world/the_nether
trash=$mnt/trash/world/the_nether
n=$(ls "$live/r.0.0" | grep -c '^c\.')
readers=()
for _ in 1 2 3; do
	(for _ in 1 2 3 4; do find "$mnt/chunks/live" "$trash" -type f -exec cat {} + >/dev/null 2>&1 || true; done) &
	readers+=($!)
done
mv "$live/r.0.0" "$trash/"
[ ! -e "$live/r.0.0" ] || fail "still there"
[ -d "$trash/r.0.0" ] || fail "mv would not see that it went there"
[ ! -e "$trash/r.0.0" ] || fail "a region in the trash"
[ "$(ls "$trash" | grep -c '\.nbt$')" -ge "$n" ] || fail "$(ls "$trash" | wc -l) chunks in the trash, not $n"
grep -vE '^DIM-1/(region|entities|poi)/r\.0\.0\.mca ' "$work/before" >"$work/want"
chunks | cmp "$work/want" - || fail "other regions have changed"
mkdir "$live/r.0.0"
rmdir "$live/r.0.0"
mkdir "$live/r.0.0"
mv "$trash"/*.nbt "$live/r.0.0/"
wait "${readers[@]}"
[ -z "$(ls "$trash")" ] || fail "something is left in the trash: $(ls "$trash" | head -n 3)"
chunks | cmp "$work/before" - || fail "the world is not what it was"
expect 0 "$MCFS_DEMO_WORLD" verify "$w"
expect 0 "$FS_TOOL" chunks "$w/DIM-1" "$live"
umount_store

check "nothing of all that is in the log of a quiet mount"
rm "$work/log"
mount_store --world "$w"
one=$(any_chunk "$live/r.0.0")
mv "$live/r.0.0/$one" "$trash/"
mv "$trash/$one" "$live/r.0.0/"
log_is_quiet
umount_store

check "worlds and dimensions with odd names"
odd=$work/$(printf 'odd w\xff"o\x27rld')
expect 0 "$MCFS_DEMO_WORLD" create "$odd" --regions 1
for x in "a b'c" "$(printf 'x\ny')"; do
	mkdir -p "$odd/dimensions/mod/$x"
	cp -a "$odd/DIM1/region" "$odd/dimensions/mod/$x/"
done
mount_what=none mount_store --world "$odd"
for x in "a b'c" "$(printf 'x\ny')"; do
	live=$mnt/chunks/live/${odd##*/}/mod/$x/r.0.0
	trash=$mnt/trash/${odd##*/}/mod/$x
	one=$(any_chunk "$live")
	cp "$live/$one" "$work/c"
	mv "$live/$one" "$trash/"
	[ ! -e "$live/$one" ] || fail "it is still there"
	cmp "$work/c" "$trash/$one" || fail "other bytes in the trash"
	mv "$trash/$one" "$live/"
	cmp "$work/c" "$live/$one" || fail "other bytes"
done
log_is_quiet
umount_store
