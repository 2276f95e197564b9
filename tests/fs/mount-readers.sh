# Many readers at once, at random places, against the restored files: the same bytes, always. Run
# under ThreadSanitizer as well. A small cache makes it give way all the time.
. "$(dirname "$0")/lib.sh"

seconds=6
expect 0 "$MCFS" -s "$MCFS_STORE" init
expect 0 "$MCFS_DEMO_WORLD" create "$work/src/world" --regions 1
head -c 9000000 /dev/urandom >"$work/src/noise"
head -c 7000000 <(yes 'a line of text that repeats') >"$work/src/text"
truncate -s 5000000 "$work/src/sparse"
echo end >>"$work/src/sparse"
expect 0 "$MCFS" snapshot "$work/src"
expect 0 "$MCFS_DEMO_WORLD" play "$work/src/world" --minutes 30
expect 0 "$MCFS" snapshot "$work/src"
if [ "${MCFS_SANITIZED:-}" ]; then
	# Restoring is slow there, and tested elsewhere; the source is the same.
	want=$work/src
else
	expect 0 "$MCFS" restore latest --to "$work/out"
	want=$work/out/src
fi

for size in 16M 256M; do
	mount_store --cache-size $size
	for threads in 8 2; do
		check "$threads readers, cache $size"
		expect 0 "$FS_TOOL" random "$mnt/snapshots/latest/src" "$want" \
			$seconds $threads $((RANDOM + 1))
		sed 's/^/	/' "$work/stdout"
	done
	check "listings and the chunk view meanwhile"
	pids=()
	for _ in 1 2 3; do
		find "$mnt/" >/dev/null &
		pids+=($!)
		cat "$mnt"/chunks/latest/src/world/overworld/r.0.0/*.nbt >/dev/null &
		pids+=($!)
		"$FS_TOOL" random "$mnt/snapshots/latest/src" "$want" 3 2 7 >/dev/null &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || fail "a reader failed"
	done
	log_is_quiet
	umount_store
done
if command -v fio >/dev/null; then
	check "fio"
	mount_store
	expect 0 fio --name=r --readonly --rw=randread --bs=4k-128k --size=8m --numjobs=2 \
		--filename="$mnt/snapshots/latest/src/noise" --runtime=5 --time_based
	umount_store
fi
