# A live world, without a store: its files as they are, every chunk as a file, folders for what may be
# pruned, and no way to change anything else. Also names and files that mean harm, and a server that
# writes meanwhile.
. "$(dirname "$0")/lib.sh"

w=$work/world
expect 0 "$MCFS_DEMO_WORLD" create "$w" --regions 1
mkdir -p "$w/plugins/deep"
ln -s /etc/passwd "$w/plugins/link"
ln -s / "$w/plugins/root"
mkfifo "$w/plugins/fifo"
printf x >"$w/plugins/$(printf 'odd\n\033[31mname\\ \xff')"
printf x >"$w/r.0.0.mca"
head -c 100 /dev/urandom >"$w/region/r.7.7.mca"
truncate -s 0 "$w/region/r.8.8.mca"
echo x >"$w/region/r.01.0.mca"
mount_what=none mount_store --world "$w"

check "the tree"
[ "$(ls "$mnt" | tr '\n' ' ')" = "chunks live trash " ] || fail "$(ls "$mnt")"
[ "$(ls "$mnt/chunks")" = live ] || fail "chunks/: $(ls "$mnt/chunks")"
for d in overworld the_nether the_end; do
	[ -d "$mnt/trash/world/$d" ] || fail "no folder in trash/ for $d"
	[ -z "$(ls -A "$mnt/trash/world/$d")" ] || fail "the trash is not empty"
done

check "live/ is the world"
same "$w" "$mnt/live/world"
[ "$(readlink "$mnt/live/world/plugins/link")" = /etc/passwd ] || fail "links"

check "every chunk, against the tests' own reader"
for pair in .:overworld DIM-1:the_nether DIM1:the_end; do
	expect 0 "$FS_TOOL" chunks "$w/${pair%%:*}" "$mnt/chunks/live/world/${pair#*:}"
	sed "s|^|	$pair: |" "$work/stdout"
done
[ "$(ls "$mnt/chunks/live/world/overworld" | tr '\n' ' ')" = "r.0.0 " ] ||
	fail "regions: $(ls "$mnt/chunks/live/world/overworld")"

check "find by size and time, attributes"
chunk=$mnt/chunks/live/world/overworld/r.0.0/c.3.4.nbt
[ "$(getfattr --absolute-names --only-values -n user.mcfs.dimension "$chunk")" = overworld ] || fail "attributes"
[ "$(find "$mnt/chunks/live" -name '*.nbt' -size -4k -print -quit)" ] || fail "no small chunks"
[ -z "$(find "$mnt/chunks/live" -name '*.nbt' -newermt 2100-01-01)" ] || fail "chunks of the future"
n=$(find "$mnt/chunks/live/world/overworld/r.0.0" -name 'c.*' | wc -l)
m=$("$MCFS_DEMO_WORLD" chunks "$w" | grep -cE '^(region|entities|poi)/r.0.0.mca ')
[ "$n" = "$m" ] || fail "$n chunks shown, $m are there"

check "what may not be changed"
for d in "" live live/world live/world/region live/world/plugins chunks; do
	expect 0 "$FS_TOOL" refuses "$mnt/$d" EROFS
done
for d in chunks/live chunks/live/world chunks/live/world/overworld chunks/live/world/overworld/r.0.0 \
	chunks/live/world/overworld/r.0.0/entities trash trash/world trash/world/overworld; do
	expect 0 "$FS_TOOL" refuses "$mnt/$d" EPERM
done
grep -q 'this part of the mount is read-only' "$work/log" || fail "nothing says that it is read-only"
grep -q 'to prune a chunk move it to trash' "$work/log" || fail "nothing says what to do instead"
! grep -q $'\033' "$work/log" || fail "a name speaks to the terminal"

check "a chunk that cannot be read"
off=$(($(od -An -tu1 -j $((4 * (3 + 32 * 4))) -N 3 "$w/region/r.0.0.mca" |
	awk '{print $1 * 65536 + $2 * 256 + $3}') * 4096 + 100))
printf 'damage damage damage' | dd of="$w/region/r.0.0.mca" bs=1 seek=$off conv=notrunc status=none
touch "$w/region/r.0.0.mca"
sleep 1.2
[ -e "${chunk%.nbt}.nbt" ] || [ -e "${chunk%.nbt}.damaged" ] || fail "a damaged chunk is absent"

check "what changes is seen"
echo new >"$w/plugins/new"
sleep 1.2
[ "$(cat "$mnt/live/world/plugins/new")" = new ] || fail "a new file"
rm "$w/plugins/new"
sleep 1.2
[ ! -e "$mnt/live/world/plugins/new" ] || fail "a removed file"
umount_store

check "while a server writes"
rm -rf "$w"
expect 0 "$MCFS_DEMO_WORLD" create "$w" --regions 1
mount_what=none mount_store --world "$w"
"$MCFS_DEMO_WORLD" hammer "$w" --seconds 3 --regions 1 >"$work/hammer" 2>&1 &
hammer=$!
sleep 0.5
for _ in 1 2; do
	find "$mnt/chunks/live" -name 'c.*' -exec cat {} + >/dev/null || fail "a chunk cannot be read"
	[ -z "$(find "$mnt/chunks/live" -name '*.damaged')" ] || fail "a torn chunk"
done
wait $hammer || fail "the server: $(cat "$work/hammer")"
sleep 2.2
expect 0 "$FS_TOOL" chunks "$w" "$mnt/chunks/live/world/overworld"
umount_store

check "what is no world"
mkdir "$work/b"
cp -a "$w" "$work/b/world"
expect 2 env MCFS_STORE= "$MCFS" mount "$mnt" --world "$work"
says 'inside of itself'
expect 2 env MCFS_STORE= timeout 60 "$MCFS" mount "$work/b" --world "$work/b/world"
says 'would hide the world'
expect 2 env MCFS_STORE= "$MCFS" mount "$mnt" --world "$work/b"
says "is no world, but has some in it"
mkdir "$work/nothing"
expect 2 env MCFS_STORE= "$MCFS" mount "$mnt" --world "$work/nothing"
says "no level.dat"
expect 1 env MCFS_STORE= "$MCFS" mount "$mnt" --world "$work/absent"
expect 2 env MCFS_STORE= "$MCFS" mount "$mnt" --world "$w" --world "$work/b/world"
says "two worlds are called"
expect 2 env MCFS_STORE= "$MCFS" mount "$mnt"
expect 2 env MCFS_STORE= "$MCFS" mount "$mnt" --trash-rm
expect 2 env MCFS_STORE= "$MCFS" mount "$mnt" --world "$w" --when-running sometimes
! is_mounted || fail "something is mounted"
