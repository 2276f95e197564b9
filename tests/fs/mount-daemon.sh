# The daemon: what it tells the one who starts it, how it ends, what it keeps to itself.
. "$(dirname "$0")/lib.sh"

mkdir "$work/data"
echo hello >"$work/data/file"
export MCFS_PASSPHRASE=secret
expect 0 "$MCFS" -s "$MCFS_STORE" init
expect 0 "$MCFS" snapshot "$work/data"

not_mounted() {
	! is_mounted || fail "it is mounted all the same"
}
check "failures are told, with the exit codes of mcfs"
MCFS_PASSPHRASE=wrong expect 11 "$MCFS" mount "$mnt"
one_clear_line
not_mounted
expect 1 "$MCFS" -s "$work/none" mount "$mnt"
one_clear_line
expect 1 "$MCFS" mount "$work/no-such-directory"
one_clear_line
expect 1 "$MCFS" mount "$work/data/file"
one_clear_line
expect 2 "$MCFS" mount
expect 2 "$MCFS" mount "$mnt" --cache-size 3
expect 2 "$MCFS" mount "$mnt" -o no_such_option
expect 1 "$MCFS" mount "$mnt" --snapshot 1999-01-01T00-00-00Z
one_clear_line
not_mounted
expect 2 "$MCFS" umount "$work/data"
one_clear_line

check "it serves as soon as the command has ended, and ends on SIGTERM"
mount_store
[ "$(cat "$mnt/snapshots/latest/data/file")" = hello ] || fail "it does not serve"
expect 1 "$MCFS" mount "$mnt"
one_clear_line
kill -TERM "$daemon"
wait_gone
not_mounted
daemon=

check "in use: refused, then lazily"
mount_store
exec 9<"$mnt/snapshots/latest/data/file"
if is_root; then
	expect 10 "$MCFS" umount "$mnt"
	one_clear_line
	says "in use by process $$ \(bash\)"
	# A working directory in it, and nothing else.
	exec 9<&-
	(cd "$mnt/snapshots" && exec sleep 60) &
	sleeper=$!
	for _ in $(seq 50); do
		[ "$(readlink "/proc/$sleeper/cwd")" = "$mnt/snapshots" ] && [ "$(cat "/proc/$sleeper/comm")" = sleep ] && break
		sleep 0.1
	done
	expect 10 "$MCFS" umount "$mnt"
	says "in use by process $sleeper \(sleep\)"
	exec 9<"$mnt/snapshots/latest/data/file"
	kill "$sleeper"
	wait "$sleeper" 2>/dev/null || true
fi
expect 0 "$MCFS" umount --lazy "$mnt"
not_mounted
[ "$(cat <&9)" = hello ] || fail "an open file does not survive a lazy unmount"
exec 9<&-
wait_gone
[ ! -d "/proc/$daemon" ] || fail "the daemon stays for ever"
daemon=

check "in the foreground"
"$MCFS" mount -f "$mnt" 2>"$work/foreground" &
pid=$!
for _ in $(seq 100); do
	is_mounted && break
	sleep 0.1
done
[ "$(cat "$mnt/snapshots/latest/data/file")" = hello ] || fail "it does not serve"
kill -USR1 "$pid"
kill -INT "$pid"
code=0
wait "$pid" || code=$?
[ $code = 0 ] || fail "SIGINT ends it with exit code $code"
not_mounted
grep -q 'counters: lookup [0-9]' "$work/foreground" || fail "SIGUSR1 gives no counters"

check "secrets stay inside"
mount_store
if is_root; then
	[ "$(sed -nE 's/^NoNewPrivs:\s*//p' "/proc/$daemon/status")" = 1 ] || fail "may gain privileges"
	caps=$(sed -nE 's/^CapEff:\s*//p' "/proc/$daemon/status")
	[ $((0x$caps & ~0x200006)) = 0 ] || fail "keeps capabilities it does not need: $caps"
fi
grep -qE '^Max core file size +0 ' "/proc/$daemon/limits" || fail "may dump core"
[ -z "$(ls -l "/proc/$daemon/fd" 2>/dev/null | grep -E "$work/(data|mnt)")" ] || fail "keeps files open"
[ "$(readlink "/proc/$daemon/cwd")" = / ] || fail "keeps its working directory"

check "a second mount on top is another file system; a backup does not go into a mount"
umount_store
mkdir "$work/data/inside"
mnt=$work/data/inside
mount_store
expect 0 "$MCFS" snapshot "$work/data"
within=$("$MCFS" ls latest:data/inside 2>/dev/null | wc -l)
[ "$within" = 0 ] || fail "the backup went into the mount ($within entries)"
umount_store

check "not over what it needs itself: the daemon would wait for itself, and who looks into it for ever"
point=$mnt
mkdir "$work/above" "$work/logs"
cp -r "$MCFS_STORE" "$work/above/store"
for mnt in "$MCFS_STORE" "$work/above" "$work/cache" "$work/state" "$work/logs"; do
	store=$MCFS_STORE
	[ "$mnt" != "$work/above" ] || store=$work/above/store
	expect 2 timeout 60 "$MCFS" -s "$store" mount "$mnt" --log "$work/logs/new"
	says "would hide"
	! is_mounted || fail "mounted at $mnt"
done
mnt=$work/logs
(cd "$work" && expect 2 timeout 60 "$MCFS" mount logs --log logs/new)
says "would hide"
# Only what lies below: a name that begins like it does not.
mnt=$work/log
rm -f "$mnt"
mkdir "$mnt"
expect 0 timeout 60 "$MCFS" mount "$mnt" --log "$work/logs/new"
[ "$(cat "$mnt/snapshots/latest/data/file")" = hello ] || fail "it does not serve"
expect 0 "$MCFS" umount "$mnt"
rmdir "$mnt"
mnt=$point

if is_root && command -v mount >/dev/null; then
	check "mount.mcfs, as mount(8) calls it"
	helper=$here/../../tools/mount.mcfs
	expect 0 env PATH="$(dirname "$MCFS"):$PATH" sh "$helper" "$MCFS_STORE" "$mnt" \
		-o "rw,noauto,x-systemd.automount,cache_size=32M,log=$work/log"
	is_mounted || fail "not mounted"
	[ "$(cat "$mnt/snapshots/latest/data/file")" = hello ] || fail "it does not serve"
	daemon=$(pgrep -f -n -- "mount.*$mnt" || true)
	umount_store
fi
