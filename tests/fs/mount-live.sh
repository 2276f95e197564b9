# The mount lives: snapshots, tags and hosts appear within a second; "latest" moves; a snapshot that
# is removed while somebody uses it goes on working, then is gone.
. "$(dirname "$0")/lib.sh"

within() { # SECONDS COMMAND..
	local end=$((SECONDS + $1 + 1))
	shift
	while [ $SECONDS -le $end ]; do
		"$@" && return
		sleep 0.1
	done
	fail "not within a second: $*"
}
count_is() { # DIR N
	[ "$(ls "$1" | wc -l)" = "$2" ]
}
latest_is() {
	[ "$(latest)" = "$1" ]
}
has() {
	[ -e "$1" ]
}

mkdir "$work/data"
echo one >"$work/data/file"
expect 0 "$MCFS" -s "$MCFS_STORE" init
mount_store
check "an empty store"
count_is "$mnt/snapshots" 0 || fail "there should be nothing"
count_is "$mnt/chunks" 0 || fail "there should be nothing"
[ ! -e "$mnt/snapshots/latest" ] || fail "latest of nothing"

check "the first one appears"
expect 0 "$MCFS" snapshot "$work/data"
within 1 has "$mnt/snapshots/latest"
first=$(latest)
[ "$(cat "$mnt/snapshots/latest/data/file")" = one ] || fail "wrong contents"
within 1 count_is "$mnt/snapshots" 2

check "the next ones appear, latest moves"
exec 9<"$mnt/snapshots/$first/data/file"
for i in 2 3 4; do
	echo "$i" >"$work/data/file"
	expect 0 "$MCFS" snapshot --tag "t$i" "$work/data"
	within 1 count_is "$mnt/snapshots" $((i + 1))
	within 1 has "$mnt/by-tag/t$i"
	newest=$(ls "$mnt/snapshots" | grep -v latest | sort -V | tail -n 1)
	within 1 latest_is "$newest"
	[ "$(cat "$mnt/snapshots/latest/data/file")" = $i ] || fail "latest shows old contents"
	[ "$(cat "$mnt/by-tag/t$i/$newest/data/file")" = $i ] || fail "by-tag shows something else"
done
[ "$(cat "$mnt/by-host/"*"/$first/data/file")" = one ] || fail "by-host shows something else"

check "a tag appears and goes"
expect 0 "$MCFS" tag "$first" +first
within 1 has "$mnt/by-tag/first/$first"
expect 0 "$MCFS" tag "$first" -first
gone_tag() { [ ! -e "$mnt/by-tag/first" ]; }
within 1 gone_tag

check "a snapshot that goes while it is open"
# There is no command to forget yet: its object goes.
id=$("$MCFS" --json info "$first" | sed -nE 's/.*"id":"([0-9a-f]{32})".*/\1/p' | sed -n 1p)
rm "$MCFS_STORE/snapshots/$id"
gone() { [ ! -e "$mnt/snapshots/$first" ]; }
within 1 gone
[ "$(cat <&9)" = one ] || fail "a file that was open cannot be read any more"
exec 9<&-
umount_store
