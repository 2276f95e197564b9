# The chunk view on made-up worlds: both layouts, a split world, custom dimensions, attributes that
# mean what they say, exact sizes, and find(1) as a query.
. "$(dirname "$0")/lib.sh"

src=$work/server
expect 0 "$MCFS_DEMO_WORLD" create "$src/classic" --regions 1
expect 0 "$MCFS_DEMO_WORLD" create "$src/modern" --layout 26.1 --regions 1
# A Bukkit server's nether, a custom dimension, and a world that was upgraded.
mkdir -p "$src/classic_nether" "$src/modern/dimensions/mod/deep/place"
cp -a "$src/classic/DIM-1" "$src/classic_nether/"
cp -a "$src/classic/level.dat" "$src/classic_nether/"
cp -a "$src/classic/region" "$src/modern/dimensions/mod/deep/place/region"
cp -a "$src/classic/region" "$src/modern/region"
mkdir -p "$src/plugins/with/data" "$src/empty-world/region"
echo x >"$src/plugins/with/data/file"
expect 0 "$MCFS" -s "$MCFS_STORE" init
expect 0 "$MCFS" snapshot "$src"
mount_store
view=$mnt/chunks/latest/server

check "worlds and dimensions are found by content"
[ "$(cd "$view" && find . -mindepth 1 -maxdepth 1 | sort | tr '\n' ' ')" = \
	"./classic ./classic_nether ./modern " ] || fail "worlds: $(ls "$view")"
[ "$(ls "$view/classic" | tr '\n' ' ')" = "overworld the_end the_nether " ] || fail "classic layout"
[ "$(ls "$view/classic_nether")" = the_nether ] || fail "split world"
for d in overworld overworld.old the_end the_nether mod/deep/place; do
	[ -d "$view/modern/$d" ] || fail "modern layout: no $d: $(ls "$view/modern")"
done

check "every chunk, against the tests' own reader"
for pair in classic:classic/overworld classic/DIM-1:classic/the_nether classic/DIM1:classic/the_end \
	classic_nether/DIM-1:classic_nether/the_nether \
	modern/dimensions/minecraft/overworld:modern/overworld modern:modern/overworld.old \
	modern/dimensions/mod/deep/place:modern/mod/deep/place; do
	expect 0 "$FS_TOOL" chunks "$src/${pair%%:*}" "$view/${pair#*:}"
	sed "s|^|	$pair: |" "$work/stdout"
	grep -qE '^[1-9]' "$work/stdout" || fail "no chunks in $pair"
done

check "attributes"
chunk=$(find "$view/classic/overworld" -maxdepth 2 -name 'c.*.nbt' -print -quit)
for a in data_version dimension inhabited_time last_update status; do
	getfattr --only-values -n "user.mcfs.$a" "$chunk" >"$work/value" 2>/dev/null ||
		fail "$chunk has no user.mcfs.$a"
	[ -s "$work/value" ] || fail "user.mcfs.$a is empty"
done
[ "$(getfattr --only-values -n user.mcfs.dimension "$chunk")" = overworld ] || fail "dimension"
if getfattr -n user.other "$chunk" >/dev/null 2>&1; then
	fail "an attribute from nowhere"
fi

check "names that are not there"
dir=$(dirname "$chunk")
for name in c.0.0 c.0.0.nbt.x c.99999.0.nbt c.00.0.nbt r.0.0 entities/x region; do
	[ ! -e "$dir/$name" ] || fail "$name is there"
done
[ ! -e "$view/classic/overworld/r.77.77" ] || fail "a region from nowhere"
[ ! -e "$view/classic/overworld/r.0.00" ] || fail "a region with another name"

check "find as a query"
[ "$(find "$view/classic" -name '*.nbt' -size +1c | wc -l)" -gt 100 ] || fail "find -size"
[ "$(find "$view/classic" -name '*.nbt' -newermt 2100-01-01 | wc -l)" = 0 ] || fail "find -newer"

check "worldedit: the shape of its snapshots"
we=$mnt/worldedit/$(latest)
for w in classic classic_nether classic_the_end modern modern_nether modern_the_end; do
	[ -f "$we/$w/level.dat" ] && [ -d "$we/$w/region" ] || fail "worldedit: no $w: $(ls "$we")"
	[ -L "$we/$w/region" ] || fail "worldedit: a directory where a link should be"
done
log_is_quiet
umount_store
