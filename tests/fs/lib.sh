# lib.sh - what the tests of the mount share; each sources it first. Adds to tests/it/lib.sh.
#
# Environment: MCFS, MCFS_DEMO_WORLD, FS_TOOL (tests/fs/fs_tool.c). Exits 77 where there is no
# FUSE. The mount is at $mnt; what its daemon says is in $work/log.
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/../it/lib.sh"
: "${FS_TOOL:?the fs_tool to use}"

mnt=$work/mnt
mkdir "$mnt"
export MCFS_STORE=$work/store

has_command mount || skip "this mcfs was built without the mount"
[ -c /dev/fuse ] || skip "there is no /dev/fuse here"
is_root || command -v fusermount3 >/dev/null || skip "not root, and no fusermount3"

# Whatever happens, no mount stays behind.
fs_end() {
	local code=$?
	trap - EXIT
	"$MCFS" umount --lazy "$mnt" 2>/dev/null || true
	wait_gone
	(exit $code)
	at_end
}
trap fs_end EXIT

wait_gone() {
	local i
	for i in $(seq 100); do
		[ -z "${daemon:-}" ] || [ ! -d "/proc/$daemon" ] && return
		sleep 0.1
	done
	kill -9 "$daemon" 2>/dev/null || true
}

is_mounted() {
	grep -q " $mnt fuse.mcfs " /proc/self/mounts
}

# mount_store [OPTION..]: in the background, as a user would; $daemon is its process. With
# mount_what=none no store is mounted (only worlds).
mount_store() {
	local code=0
	"$MCFS" -s "${mount_what:-$MCFS_STORE}" mount "$mnt" --log "$work/log" "$@" 2>"$work/stderr" || code=$?
	if [ $code != 0 ]; then
		grep -qiE 'not permitted|fusermount3|/dev/fuse' "$work/stderr" &&
			skip "this machine does not let us mount: $(cat "$work/stderr")"
		cat "$work/stderr" >&2
		fail "mount ends with exit code $code"
	fi
	is_mounted || fail "the mount is not there though mcfs says so"
	daemon=$(pgrep -f -n -- "mount $mnt --log" || true)
	[ "$daemon" ] || fail "there is no daemon"
}

umount_store() {
	expect 0 "$MCFS" umount "$mnt"
	wait_gone
	[ ! -d "/proc/$daemon" ] || fail "the daemon is still there after unmounting"
	daemon=
	if grep -E 'Sanitizer|runtime error:' "$work/log" >&2; then
		fail "a sanitizer complains in the daemon's log"
	fi
}

log_is_quiet() {
	[ ! -s "$work/log" ] || { cat "$work/log" >&2; fail "the daemon complained"; }
}

# A number from the counters that SIGUSR1 has the daemon log.
counter() { # WORD-IN-FRONT
	local before i
	before=$(grep -c 'counters:' "$work/log" || true)
	kill -USR1 "$daemon"
	for i in $(seq 50); do
		[ "$(grep -c 'counters:' "$work/log" || true)" -gt "$before" ] && break
		sleep 0.1
	done
	grep 'counters:' "$work/log" | tail -n 1 | sed -nE "s/.*[ ;:]$1 ([0-9]+).*/\1/p"
}

# The name of one of the chunks in a folder; ls | head would be cut off by a signal.
any_chunk() { # DIR
	find "$1" -maxdepth 1 -name 'c.*' -printf '%f\n' -quit
}

latest() {
	readlink "$mnt/snapshots/latest"
}
