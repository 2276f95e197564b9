# ACLs in the mount: shown, enforced with allow_other also when their snapshot came later; and where no
# snapshot has any, ls asks once and not for each file.
. "$(dirname "$0")/lib.sh"

src=$work/source
mkdir -p "$src/plain" "$src/shared"
for i in $(seq 300); do echo "$i" >"$src/plain/$i"; done
for f in named barred; do echo "$f" >"$src/shared/$f"; done
chmod 640 "$src/shared/named"
chmod 644 "$src/shared/barred"
chmod -R go+rX "$src/plain"
chmod 755 "$src" "$src/shared" "$work"
setfacl -m u:4242:r "$src/shared/named" 2>/dev/null || skip "no ACLs on this file system"
setfacl -b "$src/shared/named"
chmod 640 "$src/shared/named"

expect 0 "$MCFS" -s "$MCFS_STORE" init
expect 0 "$MCFS" snapshot --tag before "$src"
# Others are let in by the kernel below a directory that they can reach.
as() { # UID CMD..
	setpriv --reuid "$1" --regid "$1" --clear-groups "${@:2}" 2>/dev/null
}
asked() { # CMD..: $asked: how many requests for attributes that took
	local before
	before=$(counter xattr)
	"$@" >"$work/listing"
	asked=$(($(counter xattr) - before))
}
count_of() {
	"$MCFS" --json list | grep -o "\"$1\":[0-9]*" | tail -n 1 | cut -d: -f2
}

check "the snapshot counts entries with attributes and ACLs"
[ "$(count_of with_acls)$(count_of with_attributes)" = 00 ] || fail "an ACL where there is none"

check "no ACLs: ls asks once, not for each of 300 files"
mount_store
asked ls -lR --color=always "$mnt/snapshots/latest/source"
[ "$asked" -lt 10 ] || fail "ls asked $asked times"
getfattr -d -R -m - "$mnt/snapshots/latest/source" >"$work/attributes" 2>&1 || fail "getfattr complains: $(cat "$work/attributes")"
[ ! -s "$work/attributes" ] || fail "attributes: $(head -n 3 "$work/attributes")"
cp -a "$mnt/snapshots/latest/source" "$work/copied" 2>"$work/stderr" || fail "cp -a: $(cat "$work/stderr")"
[ ! -s "$work/stderr" ] || fail "cp -a says: $(cat "$work/stderr")"
same "$src" "$work/copied"

check "a snapshot with ACLs comes while it is mounted"
setfacl -m u:4242:r "$src/shared/named"
setfacl -m u:4242:- "$src/shared/barred"
expect 0 "$MCFS" snapshot --tag acls "$src"
[ "$(count_of with_acls)$(count_of with_attributes)" = 22 ] || fail "two ACLs are not two"
ls -l "$mnt/snapshots" >/dev/null
shows_acls() {
	local shown=$mnt/snapshots/latest/source
	[ "$(ls -lR "$shown" | grep -c '^-[rw-]*+')" = 2 ] || fail "ls does not show the ACLs: $(ls -l "$shown/shared")"
	(cd "$src" && getfacl -c . shared shared/*) >"$work/want"
	(cd "$shown" && getfacl -c . shared shared/*) | cmp "$work/want" - || fail "the ACLs are not the same"
}
shows_acls
umount_store

check "taken over from the snapshot before, they still count"
expect 0 "$MCFS" snapshot "$src"
[ "$(count_of with_acls)$(count_of with_attributes)" = 22 ] || fail "two ACLs are not two"
check "mounted with them there"
mount_store
shows_acls
umount_store
check "--snapshot of the one without"
mount_store --snapshot "$("$MCFS" list | sed -n 's/^\([^ ]*\).*+before$/\1/p')"
asked ls -lR "$mnt/source"
[ "$asked" -lt 10 ] || fail "ls asked $asked times"
umount_store

enforced() {
	local shown
	shown=$(realpath "$mnt/snapshots/latest")/source/shared
	[ "$(as 4242 cat "$shown/named")" = named ] || fail "an ACL lets a user in, the mount does not"
	! as 4243 cat "$shown/named" >/dev/null || fail "somebody else gets in"
	! as 4242 cat "$shown/barred" >/dev/null || fail "an ACL bars a user, the mount does not"
	[ "$(as 4243 cat "$shown/barred")" = barred ] || fail "somebody else is barred"
}
if ! is_root || ! as 4242 test -x "$mnt"; then
	echo "	enforcement: not root, or $work cannot be reached by others"
	exit 0
fi
check "with allow_other the kernel enforces them"
mount_store --allow-other
enforced
shows_acls
umount_store
check "also when they came after mounting"
export MCFS_STORE=$work/store2
expect 0 "$MCFS" -s "$MCFS_STORE" init
cp -r "$work/copied" "$work/plain"
expect 0 "$MCFS" snapshot "$work/plain"
mount_store --allow-other
expect 0 "$MCFS" snapshot "$src"
ls -l "$mnt/snapshots" >/dev/null
enforced
shows_acls
umount_store
