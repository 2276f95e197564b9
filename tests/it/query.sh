#!/bin/bash
# mcfs query, map and world: what they say of a made world, live and in a snapshot, in text, JSON and CSV.
. "${0%/*}/lib.sh"
export MCFS_STORE=$work/store
world=$work/server/world
mkdir -p "$work/server"
expect 0 "$MCFS_DEMO_WORLD" create --seed 7 "$world"
expect 0 "$MCFS_DEMO_WORLD" play --seed 8 "$world"

check "what the world is made of"
expect 0 "$MCFS" world "$world"
says "not in use"
says "overworld \(classic"
says "the_nether \(classic"
expect 0 "$MCFS" world --check "$work/server"
says "world/overworld"
says "none damaged"
expect 0 "$MCFS" --json world "$world"
says '"in_use":false'

check "counts agree: all chunks, and all but some"
total() { # QUERY..
	expect 0 "$MCFS" query --world "$world" -d overworld --count "$@"
	sed -nE 's/^overworld: ([0-9]+) of.*/\1/p' "$work/stdout"
}
all=$(total 'Size >= 0')
[ "$all" -gt 10 ] || fail "only $all chunks"
for q in 'InhabitedTime < 5 minutes' 'xPos > 0' 'Palette contains stone' 'Status = full' 'Age > 1 week'; do
	yes=$(total "$q")
	no=$(total "NOT ($q)")
	[ $((yes + no)) = "$all" ] || fail "$q: $yes and $no are not $all"
	[ "$(total --quick "$q")" = "$yes" ] || fail "$q: --quick says something else"
done

check "lists, CSV and JSON are the same chunks"
expect 0 "$MCFS" query --world "$world" -d overworld 'xPos > 0'
sort "$work/stdout" >"$work/list"
expect 0 "$MCFS" query --world "$world" -d overworld --csv "$work/x.csv" 'xPos > 0'
awk -F';' 'NF == 4 { print "c." $3 "." $4 }
	NF == 2 { for (i = 0; i < 1024; i++) print "c." $1 * 32 + i % 32 "." $2 * 32 + int(i / 32) }' \
	"$work/x.csv" | sort >"$work/from-csv"
cmp "$work/list" "$work/from-csv" || fail "the CSV holds other chunks"
expect 0 "$MCFS" query --world "$world" -d overworld --selection "$work/x.csv" 'zPos > 0'
sort "$work/stdout" >"$work/both"
expect 0 "$MCFS" query --world "$world" -d overworld 'xPos > 0 AND zPos > 0'
sort "$work/stdout" | cmp - "$work/both" || fail "--selection gives other chunks"
expect 0 "$MCFS" query --world "$world" -d overworld "Selection = \"$work/x.csv\" && zPos>0"
sort "$work/stdout" | cmp - "$work/both" || fail "the Selection filter gives other chunks"
expect 0 "$MCFS" --json query --world "$world" -d overworld 'xPos > 0'
[ "$(json matches)" = "$(wc -l <"$work/list")" ] || fail "JSON counts $(json matches)"
expect 2 "$MCFS" query --world "$world" --csv "$work/y.csv" 'xPos > 0'
one_clear_line
says "choose it with --dimension"

check "in a snapshot"
expect 0 "$MCFS" init
settle
expect 0 "$MCFS" snapshot "$work/server"
expect 0 "$MCFS" query --world "$world" -d overworld 'InhabitedTime > 0 OR Palette contains stone'
cp "$work/stdout" "$work/live.list"
mv "$world" "$work/away"
for at in "$world" server/world; do
	expect 0 "$MCFS" query --snapshot latest --world "$at" -d overworld \
		'InhabitedTime > 0 OR Palette contains stone'
	cmp "$work/stdout" "$work/live.list" || fail "the snapshot has other chunks"
done
n=0
for q in 'Compression = ZLIB' '#Entities > 0' 'Damaged = true' 'Status = full AND Size > 4096' 'DataVersion < 3000'; do
	expect 0 "$MCFS" query --world "$work/away" -d overworld "$q"
	cp "$work/stdout" "$work/live.list"
	n=$((n + $(wc -l <"$work/live.list")))
	expect 0 "$MCFS" query --snapshot latest --world server/world -d overworld "$q"
	cmp "$work/stdout" "$work/live.list" || fail "$q: the snapshot has other chunks"
done
[ "$n" -gt 0 ] || fail "there was nothing to compare"
expect 0 "$MCFS" world --snapshot latest server/world
says "in a snapshot"
expect 0 "$MCFS" map --snapshot latest --world server/world -o "$work/s.png"
mv "$work/away" "$world"

check "maps"
cat >"$work/prune.yaml" <<'END'
delete_chunks:
  - last_updated: 1 day
    inhabited_time: 2 hours
END
for how in "--color inhabited" "--color age" "--color status" "--rules $work/prune.yaml" "--query xPos>3"; do
	# shellcheck disable=SC2086
	expect 0 "$MCFS" map --world "$world" -o "$work/map.png" $how
	[ "$(head -c 8 "$work/map.png" | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ] || fail "no PNG"
done
expect 0 "$MCFS" --json map --world "$world" -o "$work/map.png" --zoom 2
says '"color":"inhabited"'

check "every failure is one line with its exit code"
refuses() { # CODE WORDS COMMAND..
	expect "$1" "$MCFS" "${@:3}"
	one_clear_line
	says "$2"
}
refuses 2 "there is no filter 'xpos'" query --world "$world" 'xpos = 1'
refuses 2 "the query is empty" query --world "$world" ''
refuses 2 "Groovy" query --world "$world" 'Custom = "x"'
refuses 2 "needs --world" query 'xPos = 1'
refuses 2 "takes one query" query --world "$world" xPos = 1
refuses 1 "no dimension 'moon'" query --world "$world" -d moon 'xPos = 1'
refuses 1 "No such file" query --world "$work/nowhere" 'xPos = 1'
mkdir "$work/empty"
refuses 1 "no world" query --world "$work/empty" 'xPos = 1'
refuses 1 "no world" world "$work/empty"
refuses 1 "no world" map --world "$work/empty" -o "$work/m.png"
refuses 2 "needs --rules" map --world "$world" -o "$work/m.png" --color prunable
echo "nonsense: 1" >"$work/p.yaml"
refuses 2 "p.yaml:1: prune.yaml has no key 'nonsense'" map --world "$world" -o "$work/m.png" --rules "$work/p.yaml"
refuses 1 "there is no 'moon' in snapshot" query --snapshot latest --world moon 'xPos = 1'
echo "1;2;3" >"$work/bad.csv"
refuses 2 "line 1" query --world "$world" --selection "$work/bad.csv" 'xPos = 1'
