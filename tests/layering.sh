#!/bin/sh
# The layers of the source tree: docs/ARCHITECTURE.md. Fails with a line for each violation.
#
#   layering.sh SOURCE_ROOT ENGINE_LIBRARY CC..      (a compiler may be two words: ccache cc)
#
# 1. includes point downwards only, and a header named *_internal.h stays in its folder;
# 2. headers of other libraries stand only in the folder that wraps them;
# 3. every header compiles alone;
# 4. the engine never prints, exits or aborts;
# 5. ARCHITECTURE.md has one row for each folder.
set -eu
root=$1 engine=$(realpath "$2")
shift 2
cc=$*
cd "$root"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=$work/bad
: >"$bad"

sources() { # DIR..
	find "$@" -name '*.[ch]' 2>/dev/null | LC_ALL=C sort
}

# "file included" for every include in quotes / in angle brackets.
includes() { # OPEN CLOSE DIR..
	open=$1 close=$2
	shift 2
	sources "$@" | xargs grep -Hn "^[[:space:]]*#[[:space:]]*include[[:space:]]*$open" /dev/null |
		sed -E "s/^([^:]*):([0-9]*):.*$open([^$close]*)$close.*/\1 \2 \3/"
}

echo "1. directions"
# What each folder may include besides itself.
cat >"$work/allowed" <<'END'
engine/base
engine/codec engine/base
engine/crypto engine/base
engine/anvil engine/base engine/codec
engine/object engine/base
engine/db engine/base
engine/server engine/base
engine/notify engine/base
engine/store engine/base engine/codec engine/crypto engine/object engine/anvil
engine/snapshot engine/base engine/codec engine/crypto engine/object engine/anvil engine/store
engine/prune engine/base engine/codec engine/crypto engine/object engine/anvil engine/store engine/snapshot engine/db
engine/config engine/base engine/notify engine/prune
engine/schedule engine/base engine/db engine/notify engine/config
fs engine/base engine/codec engine/crypto engine/object engine/anvil engine/store engine/snapshot engine/db engine/prune engine/config
tools *
END
includes '"' '"' engine fs tools | awk -v allowed="$work/allowed" '
	function folder(path,   n, part) {
		n = split(path, part, "/")
		if (part[1] == "engine")
			return part[1] "/" part[2]
		return part[1]
	}
	BEGIN {
		while ((getline line < allowed) > 0) {
			n = split(line, w, " ")
			known[w[1]] = 1
			may[w[1], w[1]] = 1
			for (i = 2; i <= n; i++)
				may[w[1], w[i]] = 1
		}
	}
	{
		from = folder($1)
		# Without a folder in it, the name is of the same folder.
		to = index($3, "/") ? folder($3) : from
		if (!(from in known))
			print $1 ":" $2 ": the folder " from " is in no layer (tests/layering.sh)"
		else if ($3 == "tests/unit/region_reader.h" && $1 ~ /^tools\/demo-world\//)
			next # the reader that the demo world and the tests share
		else if ($3 ~ /^tests\//)
			print $1 ":" $2 ": includes the tests"
		else if ($1 ~ /^tools\/demo-world\// && to !~ /^tools/)
			print $1 ":" $2 ": the demo world must not share code with the engine (" $3 ")"
		else if (!((from, to) in may) && !((from, "*") in may))
			print $1 ":" $2 ": " from " must not include " $3
		if ($3 ~ /_internal\.h$/ && index($3, "/")) {
			dir = $1
			sub(/\/[^\/]*$/, "", dir)
			if (index($3, dir "/") != 1)
				print $1 ":" $2 ": " $3 " is private to its folder"
		}
	}' >>"$bad"

echo "2. other libraries"
# The demo world and the benches use zlib and lz4 as a second opinion, the mount's bench a second mount.
cat >"$work/wrapped" <<'END'
^sodium ^engine/crypto/
^(zstd|zdict|zlib|libdeflate|lz4.*|xxhash)\.h ^(engine/codec|tools/demo-world|tools/bench)/
^sqlite3 ^engine/(db/|store/index\.c$)
^fuse ^(fs|tools/bench)/
^(jansson|archive) ^tools/
^spng ^engine/codec/png\.c$
^yaml\.h ^engine/config/
^curl/ ^engine/notify/
^(isa-l|erasure_code) ^engine/codec/
^(cmocka|libssh2|png|cyaml)  ^none$
END
includes '<' '>' engine fs tools | awk -v wrapped="$work/wrapped" '
	BEGIN {
		while ((getline line < wrapped) > 0) {
			split(line, w, " ")
			home[w[1]] = w[2]
		}
	}
	{
		for (lib in home)
			if ($3 ~ lib && $1 !~ home[lib])
				print $1 ":" $2 ": <" $3 "> is included outside of its folder"
	}' >>"$bad"

echo "3. headers alone"
fuse=$(pkg-config --cflags fuse3 2>/dev/null || true) # for fs/
for h in $(find engine fs tools -name '*.h' | LC_ALL=C sort); do
	# Twice, to see the guard work as well.
	printf '#include "%s"\n#include "%s"\n' "$h" "$h" >"$work/alone.c"
	$cc -std=gnu17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DMCFS_VERSION='"0"' -Wall -Wextra -Werror \
		-Wno-unused-function -fsyntax-only $fuse -I. -I"${h%/*}" "$work/alone.c" 2>"$work/log" ||
		{ echo "$h: does not compile alone:"; sed 's/^/	/;4q' "$work/log"; } >>"$bad"
done

echo "4. the engine is silent and never exits"
nm -A "$engine" >"$work/symbols"
grep -q 'store_open$' "$work/symbols" # this is the engine
awk '
	/ U / {
		name = $NF
		sub(/@.*/, "", name)
		if (name ~ /^(__)?(v?printf|v?fprintf|v?dprintf|puts|putchar|fputs|fputc|putc|perror|psignal|syslog|warn|warnx|err|errx)(_chk)?$/ ||
		    name ~ /^(stdout|stderr|exit|_exit|_Exit|quick_exit|abort)$/) {
			split($1, part, ":")
			print (part[2] ": the engine calls " name)
		}
	}' "$work/symbols" >>"$bad"

echo "5. the table of folders"
find engine/* fs tools/* -type d -prune | grep -vE '^tools/(bench|completion|package|systemd)$' >"$work/folders"
while read -r dir; do
	rows=$(grep -cE "^\| [^|]*\`$dir/\`[^|]*\|" docs/ARCHITECTURE.md || true)
	[ "$rows" = 1 ] || echo "docs/ARCHITECTURE.md: $rows rows for $dir/ in the table of folders" >>"$bad"
done <"$work/folders"

if [ -s "$bad" ]; then
	cat "$bad"
	exit 1
fi
echo "all layers hold"
