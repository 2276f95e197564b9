# The mount is killed in the middle of pruning and restoring, again and again; the next mount settles it:
# each chunk is in the world or in the trash, as it was, and each region file is valid.
# MCFS_KILLS: how often (8; 3 with sanitizers).
. "$(dirname "$0")/lib.sh"

w=$work/world
live=$mnt/chunks/live/world/the_nether
trash=$mnt/trash/world/the_nether
expect 0 "$MCFS_DEMO_WORLD" create "$w" --regions 1
seed=${MCFS_KILL_SEED:-$RANDOM}
RANDOM=$seed
echo "seed $seed"
nbt() { # DIR..: each chunk's place and bytes
	local d
	for d; do
		[ ! -d "$d" ] || (cd "$d" && find . -maxdepth 1 -name 'c.*.nbt' -exec md5sum {} +)
	done
}
mount_what=none
mount_store --world "$w"
nbt "$live/r.0.0" | sort >"$work/all"
[ "$(wc -l <"$work/all")" -gt 100 ] || fail "too few chunks"
kills=${MCFS_SANITIZED:+3}
for i in $(seq "${MCFS_KILLS:-${kills:-8}}"); do
	if [ $((i % 2)) = 1 ]; then
		(mv "$live/r.0.0" "$trash/" || true) 2>/dev/null &
	else
		mkdir "$live/r.0.0" 2>/dev/null || true
		(mv "$trash"/c.1*.nbt "$live/r.0.0/" || true) >/dev/null 2>&1 &
	fi
	mover=$!
	sleep "0.$(printf %03d $((RANDOM % 400)))"
	kill -9 "$daemon"
	wait $mover 2>/dev/null || true
	expect 0 "$MCFS" umount --lazy "$mnt"
	expect 0 "$MCFS_DEMO_WORLD" verify "$w"
	mount_store --world "$w"
	mkdir "$live/r.0.0" 2>/dev/null || true
	nbt "$live/r.0.0" "$trash" | sort -u >"$work/now"
	cmp "$work/all" "$work/now" || fail "after $i kills a chunk is in neither place, or another"
	nbt "$live/r.0.0" "$trash" | sort | uniq -d >"$work/twice"
	[ ! -s "$work/twice" ] || fail "after recovery chunks are in both: $(head -n 3 "$work/twice")"
done
mv "$trash"/*.nbt "$live/r.0.0/" 2>/dev/null || true
nbt "$live/r.0.0" | sort | cmp "$work/all" - || fail "not all of it came back"
expect 0 "$FS_TOOL" chunks "$w/DIM-1" "$live"
umount_store
