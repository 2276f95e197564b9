# The mount is read-only: every call that would change something gives EROFS, at every level of the
# tree; set-uid files and devices are inert; programs see a read-only, nosuid, nodev mount.
. "$(dirname "$0")/lib.sh"

expect 0 "$MCFS" -s "$MCFS_STORE" init
expect 0 "$MCFS_DEMO_WORLD" create "$work/world" --regions 1
expect 0 "$MCFS" snapshot --tag keep "$work/world"
mount_store

check "every changing call"
for d in "" snapshots snapshots/latest snapshots/latest/world snapshots/latest/world/region by-tag \
	by-tag/keep by-host chunks chunks/latest/world chunks/latest/world/overworld \
	chunks/latest/world/overworld/r.0.0 worldedit worldedit/*/world; do
	for path in "$mnt"${d:+/}$d; do
		expect 0 "$FS_TOOL" readonly "$path"
	done
done
check "shell tools"
for command in "touch $mnt/x" "rm -rf $mnt/snapshots/latest/world" "mkdir $mnt/snapshots/new" \
	"ln -s a $mnt/by-tag/x" "mv $mnt/snapshots/latest $mnt/snapshots/other"; do
	expect 1 $command
	says 'Read-only file system'
done
check "mount flags"
for flag in ro nosuid nodev; do
	grep " $mnt fuse.mcfs " /proc/self/mounts | grep -qE "[ ,]$flag[ ,]" ||
		fail "the mount is not $flag"
done
[ -d "$mnt/snapshots/latest/world/region" ] || fail "the tree has changed"
log_is_quiet
umount_store
