# prunable/: what the mount's rules would prune, each under its rule; moved to the trash it is pruned
# with the rule as the reason; a picture of it all.
. "$(dirname "$0")/lib.sh"

w=$work/world
live=$mnt/chunks/live/world/overworld
trash=$mnt/trash/world/overworld
expect 0 "$MCFS_DEMO_WORLD" create "$w" --regions 1
cat >"$work/prune.yaml" <<'X'
delete_chunks:
  - last_updated: 1 hour
    inhabited_time: 5 minutes
query: 'Status != "full" AND Status != "minecraft:full"'
protect:
  neighbours: 0
  spawn_radius: 2
max_fraction: 100%
X
mount_what=none mount_store --world "$w" --rules "$work/prune.yaml"
view=$mnt/prunable/world

check "the tree"
[ "$(ls "$mnt" | tr '\n' ' ')" = "chunks live prunable trash " ] || fail "$(ls "$mnt")"
rules=$(ls "$view" | grep -v '^map.png$')
[ "$(wc -w <<<"$rules")" = 2 ] || fail "rules: $rules"
expect 0 "$FS_TOOL" refuses "$view" EROFS
n=0
for rule in $rules; do
	for d in overworld the_nether the_end; do
		[ -d "$view/$rule/$d" ] || fail "no $d for $rule"
		for f in "$view/$rule/$d"/c.*; do
			[ -e "$f" ] || continue
			n=$((n + 1))
			[ $((n % 20)) = 0 ] || continue
			c=${f##*/}
			x=${c#c.} x=${x%%.*}
			z=${c#c.*.} z=${z%%.*}
			cmp "$f" "$mnt/chunks/live/world/$d/r.$((x >> 5)).$((z >> 5))/$c" || fail "$f is another"
		done
	done
	expect 0 "$FS_TOOL" refuses "$view/$rule/overworld" EROFS
done
echo "	$n chunks"
[ $n -gt 20 ] || fail "hardly anything is prunable"

check "the picture"
[ "$(head -c 4 "$view/map.png" | tail -c 3)" = PNG ] || fail "no picture"
[ "$(wc -c <"$view/map.png")" = "$(stat -c %s "$view/map.png")" ] || fail "its size is not exact"

check "pruned by moving"
rule=$(head -n 1 <<<"$rules")
for rule in $rules; do
	one=$(any_chunk "$view/$rule/overworld")
	[ "$one" ] && break
done
mv "$view/$rule/overworld/$one" "$trash/"
[ ! -e "$view/$rule/overworld/$one" ] || fail "it is still prunable"
[ "$(getfattr --absolute-names --only-values -n user.mcfs.trash.why "$trash/$one")" = "$rule" ] ||
	fail "the reason is not the rule"
x=${one#c.} x=${x%%.*}
z=${one#c.*.} z=${z%%.*}
[ ! -e "$live/r.$((x >> 5)).$((z >> 5))/$one" ] || fail "it is still in the world"
[ "$("$FS_TOOL" rename "$trash/$one" "$view/$rule/overworld/$one" 0)" = EROFS ] || fail "moved into prunable/"
mv "$trash/$one" "$live/r.$((x >> 5)).$((z >> 5))/"
expect 0 "$MCFS_DEMO_WORLD" verify "$w"
umount_store

check "the trash empties by the rules' retention"
expect 0 "$MCFS" prune --world "$w" r.0.0
items() {
	"$MCFS" trash list --world "$w" | grep -c ' c\.' || true
}
n=$(items)
[ "$n" -gt 20 ] || fail "hardly anything is in the trash"
mount_what=none mount_store --world "$w" --rules "$work/prune.yaml"
sleep 2
umount_store
[ "$(items)" = "$n" ] || fail "without a limit something has left the trash"
{ cat "$work/prune.yaml"; echo 'trash_keep: 1 day'; echo 'trash_size: 100 KiB'; } >"$work/keep.yaml"
mount_what=none mount_store --world "$w" --rules "$work/keep.yaml"
for i in $(seq 50); do
	[ "$(ls "$trash" | wc -l)" -ge "$n" ] || break
	sleep 0.1
done
left=$(ls "$trash" | wc -l)
umount_store
[ "$left" -lt "$n" ] && [ "$left" -gt 0 ] || fail "$left of $n chunks are left"
sed -i 's/^trash_keep.*/trash_keep: 1 second/' "$work/keep.yaml"
sleep 2
mount_what=none mount_store --world "$w" --rules "$work/keep.yaml"
for i in $(seq 50); do
	[ "$(ls "$trash" | wc -l)" != 0 ] || break
	sleep 0.1
done
umount_store
[ "$(items)" = 0 ] || fail "chunks older than trash_keep are still there"
grep -q 'left the trash for good' "$work/log" || fail "the log does not say it"

check "rules that cannot be understood"
echo 'query: "Nonsense = 5"' >"$work/bad.yaml"
expect 2 env MCFS_STORE= "$MCFS" mount "$mnt" --world "$w" --rules "$work/bad.yaml"
says 'bad.yaml:1'
expect 1 env MCFS_STORE= "$MCFS" mount "$mnt" --world "$w" --rules "$work/absent.yaml"
