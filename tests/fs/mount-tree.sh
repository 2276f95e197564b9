# Everything a snapshot keeps is there in the mount: links, holes, attributes, ACLs, devices, odd
# names, deep and wide directories. Two hard links are one inode; directories never alias.
. "$(dirname "$0")/lib.sh"

src=$work/source
mkdir -p "$src/a/b/c" "$src/wide" "$src/twin1/sub" "$src/twin2/sub" "$src/empty"
printf 'small' >"$src/a/small"
: >"$src/a/nothing"
head -c 70000 /dev/urandom >"$src/a/middle"
head -c 5000000 /dev/urandom >"$src/a/large"
(cd "$src/wide" && split -l 1 -a 4 -d <(seq 3000) file-)
echo same >"$src/twin1/sub/file"
ln "$src/twin1/sub/file" "$src/twin2/sub/file"
ln "$src/a/middle" "$src/a/b/other-name"
ln "$src/a/middle" "$src/a/b/c/third-name"
ln -s ../small "$src/a/b/link"
ln -s /nowhere/at/all "$src/dangling"
ln -s "$(printf 'x%.0s' $(seq 3000))" "$src/long-link"
mkfifo "$src/fifo"
truncate -s 40M "$src/sparse"
printf 'in the middle' | dd of="$src/sparse" bs=1 seek=20000000 conv=notrunc status=none
truncate -s 3M "$src/all-hole"
printf 'x' >"$src/$(printf 'odd \001\n\303\244\377name')"
printf 'x' >"$src/$(printf 'n%.0s' $(seq 255))"
chmod 4711 "$src/a/small"
chmod 1777 "$src/empty"
touch -d '1970-01-01 00:00:00.000000001' "$src/a/nothing"
touch -d '2262-01-01 12:34:56.987654321' "$src/a/small"
if is_root; then
	mknod "$src/char" c 1 3 2>/dev/null || true
	mknod "$src/block" b 7 200 2>/dev/null || true
	chown 12345:54321 "$src/a/middle"
fi
setfattr -n user.note -v 'with
lines' "$src/a/small" 2>/dev/null || true
setfattr -n user.empty "$src/a" 2>/dev/null || true
setfacl -m u:4242:r-x,d:u:4242:rw- "$src/a/b" 2>/dev/null || true
deep=$src/deep
for _ in $(seq 60); do deep=$deep/d; done
mkdir -p "$deep"
echo bottom >"$deep/file"

expect 0 "$MCFS" -s "$MCFS_STORE" init
expect 0 "$MCFS_DEMO_WORLD" create "$src/world" --regions 1
expect 0 "$MCFS" snapshot --tag one "$src"
mount_store
shown=$mnt/snapshots/latest/source

check "everything is the same"
same "$src" "$shown"
check "and again, from the kernel's caches"
same "$src" "$shown"
check "hard links and directories"
[ "$(stat -c '%i %h' "$shown/a/middle")" = "$(stat -c '%i %h' "$shown/a/b/c/third-name")" ] ||
	fail "hard links are not one inode"
[ "$(stat -c %h "$shown/a/middle")" = 3 ] || fail "wrong number of links"
[ "$(stat -c %i "$shown/twin1/sub")" != "$(stat -c %i "$shown/twin2/sub")" ] ||
	fail "two directories are one inode"
dups=$(find "$mnt/" -type d -printf '%i\n' | sort | uniq -d)
[ -z "$dups" ] || fail "directories share inode numbers: $dups"
check "what listings, lookups and getattr say is the same, also after a second"
statuses() {
	find "$mnt/" -exec stat -c '%n %i %f %s %Y %Z %h %u %g' {} + | sort
}
find "$mnt/" -printf '%p %i %#m %s\n' >/dev/null
statuses >"$work/statuses"
sleep 1.2
statuses | cmp - "$work/statuses" || fail "attributes change by themselves"
check "holes"
cp -a "$shown/sparse" "$work/sparse"
cmp "$src/sparse" "$work/sparse" || fail "sparse file differs"
[ "$(stat -c %b "$work/sparse")" -lt 8192 ] || fail "cp does not see the holes"
tar -C "$shown" -cSf - sparse all-hole | wc -c >"$work/tar"
[ "$(cat "$work/tar")" -lt 4000000 ] || fail "tar -S does not see the holes"
check "inode numbers are the same at the next mount"
find "$shown" -printf '%i %P\0' | sort -z >"$work/inodes"
umount_store
mount_store --snapshot latest
[ -d "$mnt/source/a" ] && [ ! -e "$mnt/snapshots" ] || fail "--snapshot does not show the snapshot"
find "$mnt/source" -printf '%i %P\0' | sort -z | cmp - "$work/inodes" ||
	fail "inode numbers have changed"
same "$src" "$mnt/source"
check "the programs that copy, against restore"
mkdir "$work/out"
cp -a "$mnt/source" "$work/out/copied"
expect 0 "$MCFS" restore latest --to "$work/out/restored"
same "$work/out/restored/source" "$work/out/copied"
log_is_quiet
umount_store
