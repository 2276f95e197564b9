#!/bin/bash
# Snapshots from a copy by reflinks: they are those that would have been made in place, the server goes on as soon as
# the copy is there, nothing is left of a copy, and where there are no reflinks all is as without.
#
# Needs a loop device and mkfs.xfs.
. "${0%/*}/lib.sh"
. "${0%/*}/job-lib.sh"
PATH=$PATH:/usr/sbin:/sbin
is_root || skip "needs root, to mount a file system"
command -v mkfs.xfs >/dev/null || skip "there is no mkfs.xfs (package xfsprogs)"
truncate -s 320M "$work/image"
mkfs.xfs -q -m reflink=1 "$work/image"
mkdir "$work/xfs"
mount -o loop "$work/image" "$work/xfs" 2>"$work/why" || skip "no file system can be mounted here: $(cat "$work/why")"
mounted=$work/xfs
srv=$work/xfs/srv
world=$srv/world
mkdir "$srv"

staging_left() {
	find "$work/xfs" "$work" -maxdepth 2 -name '.mcfs-staging*'
}
none_left() {
	[ -z "$(staging_left)" ] || fail "left behind: $(staging_left)"
}
S() { # a snapshot from a copy
	expect "${code:-0}" "$MCFS" -s "$work/store" --json snapshot --stage "$@"
}

"$MCFS_DEMO_WORLD" create "$world" --seed 5 --regions 1 >"$work/out"
(
	cd "$world"
	mkdir odd odd/empty
	printf 'x' >$'odd/new\nline'
	printf 'x' >$'odd/\xff\xfe'
	: >odd/zero
	truncate -s 3M odd/hole
	printf middle | dd of=odd/hole bs=1 seek=1000000 conv=notrunc status=none
	echo l >odd/hard-1
	ln odd/hard-1 odd/hard-2
	ln -s nowhere odd/dangling
	mkfifo -m 640 odd/fifo
	mknod odd/null c 1 3
	echo s >odd/setuid && chmod 4755 odd/setuid
	echo o >odd/owned && chown 1234:2345 odd/owned && chmod 000 odd/owned
	chown -h 77:88 odd/dangling
	setfattr -n user.one -v 1 odd/owned
	setfattr -n user.dir -v d odd/empty
	setfattr -n trusted.link -v l -h odd/dangling
	setfacl -m u:1234:r odd/zero
	touch -d '1999-12-31 23:59:59.999999999 UTC' odd/empty odd/zero
	touch -h -d '2001-02-03 04:05:06.987654321 UTC' odd/dangling
	chmod 500 odd/empty
)
settle

check "what is restored is what was there"
expect 0 "$MCFS" -s "$work/store" init
S "$world"
says '"type":"staged"'
none_left
expect 0 "$MCFS" -s "$work/store" restore latest:world --to "$work/xfs/back"
same "$world" "$work/xfs/back/world"

check "the snapshot is the one that is made in place: nothing is new, either way"
ln "$world/odd/hard-1" "$srv/outside"
settle
S "$world"
expect 0 "$MCFS" -s "$work/store" --json snapshot "$world"
[ "$(json files_changed)$(json files_new)$(json added_bytes)" = 000 ] || fail "in place: $(tail -n 1 "$work/stdout")"
S "$world"
[ "$(json files_changed)$(json files_new)$(json added_bytes)" = 000 ] || fail "from the copy: $(tail -n 1 "$work/stdout")"
rm "$srv/outside"
"$MCFS_DEMO_WORLD" play "$world" --seed 5 --minutes 2 >"$work/out"
settle
S "$world"
[ "$(json files_changed)" -gt 0 ] || fail "changes are not seen"
rm -rf "$work/xfs/back"
expect 0 "$MCFS" -s "$work/store" restore latest:world --to "$work/xfs/back"
same "$world" "$work/xfs/back/world"

check "a file that changed but for its size and time is read again"
echo 1 >"$world/fresh"
settle
S "$world"
touch -r "$world/fresh" "$work/times"
echo 2 >"$world/fresh"
touch -r "$work/times" "$world/fresh"
S "$world"
expect 0 "$MCFS" -s "$work/store" cat latest:world/fresh
[ "$(cat "$work/stdout")" = 2 ] || fail "an old version is kept"

check "what is left out"
mkdir "$world/marked" "$world/cached" "$world/plain"
touch "$world/marked/.nobackup" "$world/marked/f" "$world/cached/f" "$world/plain/a.tmp" "$world/plain/b"
echo 'Signature: 8a477f597d28d172789f06886806bc55' >"$world/cached/CACHEDIR.TAG"
settle
for how in --stage ''; do
	expect 0 "$MCFS" -s "$work/store" --json snapshot $how --exclude '*.tmp' --exclude-if-present .nobackup \
		--exclude-caches "$world"
done
[ "$(json added_bytes)" = 0 ] || fail "in place something else is left out"
expect 0 "$MCFS" -s "$work/store" ls latest:world/plain
! grep -q tmp "$work/stdout" || fail "a pattern is not heeded"
expect 0 "$MCFS" -s "$work/store" ls latest:world/marked
[ ! -s "$work/stdout" ] || fail "a mark is not heeded"
expect 0 "$MCFS" -s "$work/store" ls latest:world/cached
[ ! -s "$work/stdout" ] || fail "a cache is not left out"
rm -rf "$world/marked" "$world/cached" "$world/plain"

check "a file as source, a link as source, and one that is not there"
ln -s world "$srv/link"
echo l >"$srv/outside"
code=3 S "$srv/link" "$srv/outside" "$srv/nothing"
says '"type":"staged"'
says 'nothing.*source cannot be read'
expect 0 "$MCFS" -s "$work/store" cat latest:outside
[ "$(cat "$work/stdout")" = l ] || fail "a file as source"
expect 0 "$MCFS" -s "$work/store" ls latest:link
says 'level.dat'
none_left

cp -a "$world/odd" "$srv/little"
little=$srv/little
check "not with these: in place, with a word why, and nothing is left"
S --stage-in "$little/empty" "$little"
says '"type":"not_staged".*within the source'
mkdir "$work/elsewhere"
S --stage-in "$work/elsewhere" "$little"
says '"type":"not_staged".*clone'
[ -z "$(ls -A "$work/elsewhere")" ] || fail "something is left elsewhere"
mkdir "$work/plain" && echo p >"$work/plain/f"
S "$work/plain" "$little"
says '"type":"not_staged"'
mkdir "$little/other" && mount -t tmpfs none "$little/other" && {
	S "$little"
	umount "$little/other"
	says '"type":"not_staged".*other. is on another file system'
}
rmdir "$little/other"
expect 0 "$MCFS" -s "$work/store" snapshot --stage "$work/plain"
says 'no copy is made, the sources are read in place: clone'
expect 0 "$MCFS" -s "$work/store" snapshot --stage "$little"
says 'copied [0-9]+ files'
none_left

check "kill -9: what is left goes with the next snapshot, a copy in use does not"
cat >"$work/wait" <<'END'
#!/bin/sh
: >"$1/asked"
while [ ! -e "$1/go" ]; do sleep 0.05; done
echo secret
END
chmod +x "$work/wait"
# A snapshot from a copy, in the background, which stands there and waits for its key; its number in $pid.
snapshot_that_waits() {
	rm -f "$work/go" "$work/asked"
	MCFS_PASSPHRASE_COMMAND="$work/wait $work" "$MCFS" -s "$work/locked" snapshot --stage "$little" >"$work/out" 2>&1 &
	pid=$!
	for _ in $(seq 200); do
		[ ! -e "$work/asked" ] || return 0
		sleep 0.05
	done
	fail "it did not ask for its key"
}
touch "$work/go"
MCFS_PASSPHRASE_COMMAND="$work/wait $work" expect 0 "$MCFS" -s "$work/locked" init
snapshot_that_waits
[ "$(staging_left | wc -l)" = 1 ] || fail "there is no copy while the snapshot is made"
[ "$(stat -c %a "$(staging_left)")" = 700 ] || fail "others can read the copy"
S "$little"
says '"type":"not_staged"'
expect 0 "$MCFS" -s "$work/store" snapshot "$little"
[ "$(staging_left | wc -l)" = 1 ] || fail "a copy in use was removed"
name=$(basename "$(staging_left)")
kill -9 "$pid"
{ wait "$pid" || true; } 2>/dev/null
touch "$work/go"
[ "$(staging_left | wc -l)" = 1 ] || fail "this tests nothing"
cp -a "$(staging_left)" "$work/kept"
expect 0 "$MCFS" -s "$work/store" snapshot --dry-run "$little"
[ "$(staging_left | wc -l)" = 1 ] || fail "--dry-run changes something"
expect 0 "$MCFS" -s "$work/store" snapshot "$little"
none_left
cp -a "$work/kept" "$srv/$name"
mv "$work/kept" "$work/elsewhere/$name"
expect 0 "$MCFS" -s "$work/store" snapshot --stage-in "$work/elsewhere" "$little"
none_left
[ -z "$(ls -A "$work/elsewhere")" ] || fail "left behind elsewhere"

check "somebody else's directory of that name is left alone"
mkdir "$srv/$name" && chown 1234 "$srv/$name" && echo precious >"$srv/$name/f"
S "$little"
says '"type":"not_staged".*somebody else'
expect 0 "$MCFS" -s "$work/store" snapshot "$little"
[ -e "$srv/$name/f" ] || fail "a file of another is gone"
rm -r "${srv:?}/$name"
ln -s "$little" "$srv/$name"
S "$little"
says '"type":"not_staged"'
expect 0 "$MCFS" -s "$work/store" snapshot "$little"
[ -e "$little/hard-1" ] || fail "the world is gone"
rm "$srv/$name"
mkdir "$work/xfs/private"

check "interrupted: nothing is left"
snapshot_that_waits
kill "$pid"
touch "$work/go"
wait "$pid" 2>/dev/null || true
none_left

check "as a user who owns nothing of it"
chmod 755 "$work" "$work/xfs"
chmod 777 "$work/xfs/private"
chmod -R a+rX "$world" && rm "$world/odd/owned"
if "$(command -v setpriv)" --reuid 65534 --clear-groups "$MCFS" --version >"$work/out" 2>&1; then
	as_nobody() {
		HOME=$work/xfs/private MCFS_STATE_DIR=$work/xfs/private/s MCFS_CACHE_DIR=$work/xfs/private/c \
			MCFS_CONFIG_DIR=$work/xfs/private/k setpriv --reuid 65534 --clear-groups "$@"
	}
	expect 0 as_nobody "$MCFS" -s "$work/xfs/private/store" init
	expect 0 as_nobody "$MCFS" -s "$work/xfs/private/store" --json snapshot --stage --stage-in "$work/xfs/private" "$world"
	says '"type":"staged"'
	rm -rf "$work/xfs/back"
	MCFS_CONFIG_DIR=$work/xfs/private/k expect 0 "$MCFS" -s "$work/xfs/private/store" restore latest:world --to "$work/xfs/back"
	setfattr -x trusted.link -h "$world/odd/dangling" # for root's eyes only
	same "$world" "$work/xfs/back/world"
fi

check "the job: the server goes on before the snapshot is made, which shows the moment of the copy"
settle
cat >"$work/late" <<END
#!/bin/sh
# The key comes only when saving is on again; and then the world is another.
for i in \$(seq 200); do
	if [ "\$(tail -n 1 $work/console)" = save-on ]; then
		echo later >$world/moment
		echo secret
		exit
	fi
	sleep 0.05
done
exit 1
END
chmod +x "$work/late"
echo now >"$world/moment"
settle
start_console 100
configure() {
	printf 'source_directories: [%s]\nrepositories: [%s]\nskip_actions: [check, compact]\nrcon: {port: %s, password: secret}\n' \
		"$world" "$work/locked" "$rcon_port" >"$work/backup.yaml"
	cat >>"$work/backup.yaml"
}
configure <<<"encryption_passcommand: $work/late"
expect 0 job
says 'copied: the server goes on'
[ "$(tr '\n' , <"$work/console")" = 'save-off,save-all flush,save-on,' ] || fail "the console: $(cat "$work/console")"
[ "$(cat "$world/moment")" = later ] || fail "this tests nothing"
MCFS_PASSPHRASE=secret expect 0 "$MCFS" -s "$work/locked" cat latest:world/moment
[ "$(cat "$work/stdout")" = now ] || fail "the snapshot is of another moment"
none_left

check "staging: off, and another place"
: >"$work/console"
printf 'staging: off\nencryption_passphrase: secret\nafter_backup: echo after >>%s\n' "$work/console" | configure
expect 0 job
! grep -q 'goes on' "$work/stdout" || fail "a copy was made all the same"
[ "$(tr '\n' , <"$work/console")" = 'save-off,save-all flush,save-on,after,' ] || fail "the console: $(cat "$work/console")"
printf 'staging: %s\nencryption_passphrase: secret\n' "$work/xfs/private" | configure
expect 0 job
says 'copied: the server goes on'
printf 'staging: beside\n' | configure
expect 2 job
says 'backup.yaml:5: staging is auto, off, or a directory'

check "without reflinks: the server holds still until the end"
world=$work/plain
printf 'encryption_passphrase: secret\n' | configure
: >"$work/console"
expect 0 job -v
says 'no copy is made .*: the server holds still until the snapshot is there'
[ "$(tr '\n' , <"$work/console")" = 'save-off,save-all flush,save-on,' ] || fail "the console: $(cat "$work/console")"
none_left
check_store "$work/store"
