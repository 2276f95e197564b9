# A server that holds the world: refused, or noted and shown at once, and done when it has gone; what it
# has saved meanwhile stays. The stand-in takes the lock as Java does and rewrites headers as the game does.
. "$(dirname "$0")/lib.sh"

w=$work/world
live=$mnt/chunks/live/world/overworld
trash=$mnt/trash/world/overworld
expect 0 "$MCFS_DEMO_WORLD" create "$w" --regions 1
expect 0 "$MCFS" -s "$MCFS_STORE" init
expect 0 "$MCFS" snapshot "$w"
chunks() {
	"$MCFS_DEMO_WORLD" chunks "$w" | sort
}
# Works on regions from the nether on; the overworld is quiet, but the whole world is locked.
start_server() {
	"$MCFS_DEMO_WORLD" hammer "$w" --seconds "$1" --rate 50 --regions 1 >"$work/server" 2>&1 &
	server=$!
	local i
	for i in $(seq 50); do
		"$FS_TOOL" locked "$w/session.lock" && return
		sleep 0.1
	done
	fail "the server holds no lock"
}
stop_server() {
	kill $server
	wait $server || true
}
state() {
	getfattr --absolute-names --only-values -n user.mcfs.trash.state "$1"
}
within() { # SECONDS COMMAND..
	local end=$((SECONDS + $1))
	shift
	while [ $SECONDS -le $end ]; do
		"$@" && return
		sleep 0.1
	done
	fail "not in time: $*"
}

check "refuse"
start_server 60
mount_store --world "$w" --when-running refuse
one=$(any_chunk "$live/r.0.0")
before=$("$MCFS_DEMO_WORLD" chunks "$w" | wc -l)
expect 1 mv "$live/r.0.0/$one" "$trash/"
says 'busy'
[ -e "$live/r.0.0/$one" ] || fail "it has gone all the same"
[ -z "$(ls "$trash")" ] || fail "something is in the trash"
grep -q 'stop the server' "$work/log" || fail "nothing says what to do"
umount_store
stop_server
[ "$("$MCFS_DEMO_WORLD" chunks "$w" | wc -l)" -ge $((before - 1024)) ] || fail "chunks are missing"

check "defer: gone from the views at once, the world is not touched"
rm -rf "$w"
expect 0 "$MCFS_DEMO_WORLD" create "$w" --regions 1
chunks >"$work/before"
"$FS_TOOL" hold "$w/session.lock" 600 &
server=$!
within 5 "$FS_TOOL" locked "$w/session.lock"
mount_store --world "$w"
mv "$live/r.0.0/c.3.4.nbt" "$live/r.0.0/c.4.4.nbt" "$live/r.0.0/c.5.5.nbt" "$trash/"
mv "$mnt/chunks/live/world/the_end/r.0.0" "$mnt/trash/world/the_end/"
[ ! -e "$live/r.0.0/c.3.4.nbt" ] || fail "it is still shown"
[ "$(ls "$trash" | wc -l)" = 3 ] || fail "the trash has $(ls "$trash")"
[ "$(state "$trash/c.3.4.nbt")" = waits ] || fail "it does not wait"
cmp "$trash/c.3.4.nbt" "$mnt/chunks/latest/world/overworld/r.0.0/c.3.4.nbt" || fail "other bytes"
chunks | cmp "$work/before" - || fail "the world was touched"
"$MCFS_DEMO_WORLD" chunks "$mnt/live/world" | sort >"$work/shown"
grep -vE '^((region|entities|poi)/r.0.0.mca (3 4|4 4|5 5)|DIM1/(region|entities|poi)/r.0.0.mca [0-9]+ [0-9]+) ' \
	"$work/before" | cmp - "$work/shown" || fail "live/ shows something else"
[ -z "$(ls "$mnt/chunks/live/world/the_end")" ] || fail "the region is still shown"

check "back before it was done: nothing has happened"
mv "$trash/c.4.4.nbt" "$live/r.0.0/"
cmp "$live/r.0.0/c.4.4.nbt" "$mnt/chunks/latest/world/overworld/r.0.0/c.4.4.nbt" || fail "c.4.4"

check "it survives a restart of the mount"
umount_store
mount_store --world "$w"
[ ! -e "$live/r.0.0/c.3.4.nbt" ] || fail "it is shown again"
[ "$(state "$trash/c.3.4.nbt")" = waits ] || fail "it does not wait any more"

check "the server saves one of them, and goes"
expect 0 "$FS_TOOL" resave "$w/region/r.0.0.mca" 5 5
kill $server
wait $server 2>/dev/null || true
all_done() { grep -q 'is free: ' "$work/log"; }
within 20 all_done
[ "$(state "$trash/c.3.4.nbt")" = kept ] || fail "it still waits"
[ -e "$live/r.0.0/c.5.5.nbt" ] || fail "a chunk that was saved since is gone"
[ ! -e "$trash/c.5.5.nbt" ] || fail "it is in the trash"
grep -qE 'saved' "$work/log" || fail "nothing says that it was kept"
"$MCFS_DEMO_WORLD" chunks "$w" | sort | grep -vE 'r.0.0.mca 5 5 ' >"$work/now"
grep -vE '^((region|entities|poi)/r.0.0.mca (3 4|5 5)|DIM1/(region|entities|poi)/r.0.0.mca [0-9]+ [0-9]+) ' \
	"$work/before" | grep -vE 'r.0.0.mca 5 5 ' | cmp - "$work/now" || fail "the world has something else"

check "back while a server is there: shown at once, done later"
"$FS_TOOL" hold "$w/session.lock" 600 &
server=$!
within 5 "$FS_TOOL" locked "$w/session.lock"
mv "$trash/c.3.4.nbt" "$live/r.0.0/"
[ -z "$(ls "$trash")" ] || fail "it is still in the trash"
cmp "$live/r.0.0/c.3.4.nbt" "$mnt/chunks/latest/world/overworld/r.0.0/c.3.4.nbt" || fail "it is not shown"
! "$MCFS_DEMO_WORLD" chunks "$w" | grep -E '^region/r.0.0.mca 3 4 ' >/dev/null || fail "the world was touched"
kill $server
wait $server 2>/dev/null || true
is_there() { "$MCFS_DEMO_WORLD" chunks "$w" | grep -E '^region/r.0.0.mca 3 4 ' >"$work/line"; }
within 10 is_there
grep -E '^region/r.0.0.mca 3 4 ' "$work/before" | cmp - "$work/line" || fail "another payload"

check "cp from a snapshot while a server is there: the same"
mv "$live/r.0.0/c.6.6.nbt" "$trash/"
"$FS_TOOL" hold "$w/session.lock" 600 &
server=$!
within 5 "$FS_TOOL" locked "$w/session.lock"
cp "$mnt/chunks/latest/world/overworld/r.0.0/c.6.6.nbt" "$live/r.0.0/"
cmp "$live/r.0.0/c.6.6.nbt" "$mnt/chunks/latest/world/overworld/r.0.0/c.6.6.nbt" || fail "it is not shown"
kill $server
wait $server 2>/dev/null || true
is_there() { "$MCFS_DEMO_WORLD" chunks "$w" | grep -E '^(region|entities|poi)/r.0.0.mca 6 6 ' >"$work/line"; }
within 10 is_there
sleep 1
is_there
sort "$work/line" >"$work/lines"
grep -E '^(region|entities|poi)/r.0.0.mca 6 6 ' "$work/before" | cmp - "$work/lines" || fail "another payload"

check "a damaged one that waits to come back shows no bytes of others"
at=$((4 * (7 + 32 * 7)))
entry=$(od -An -j $at -N 3 -tu1 "$w/region/r.0.0.mca" | awk '{print $1 * 65536 + $2 * 256 + $3}')
printf '\x7f' | dd of="$w/region/r.0.0.mca" bs=1 seek=$((entry * 4096)) conv=notrunc status=none
name=c.7.7.damaged
within 10 [ -e "$live/r.0.0/$name" ]
mv "$live/r.0.0/$name" "$trash/"
"$FS_TOOL" hold "$w/session.lock" 600 &
server=$!
within 5 "$FS_TOOL" locked "$w/session.lock"
mv "$trash/$name" "$live/r.0.0/"
[ -e "$live/r.0.0/$name" ] || fail "it is not shown"
[ -z "$(cat "$live/r.0.0/$name" | tr -d '\0')" ] || fail "it shows something else"
kill $server
wait $server 2>/dev/null || true
is_there() { [ "$(head -c 1 "$live/r.0.0/$name" | od -An -tx1)" = " 7f" ]; }
within 10 is_there
umount_store
