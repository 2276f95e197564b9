# Every command of docs/GUIDE.md, in its order, on a demo world. The page's paths (/srv/mc, /backup,
# /mnt/mc, /etc/mcfs) are moved below the working directory.
#
# Blocks of the page by their first line: "sh" is run, "sh fuse" where there is FUSE, "sh drill" on a
# copy of the store as on another machine; "yaml FILE" and "ini FILE" are written to FILE; "play" lets
# the world change; "text" is only shown.
. "$(dirname "$0")/lib.sh"

guide=$MCFS_SOURCE_ROOT/docs/GUIDE.md
tools=$(dirname "$MCFS")
mkdir -p "$work/bin" "$work/srv/mc/restored" "$work/backup" "$work/mnt/mc" "$work/etc/mcfs"
for program in mcfs mcfs-snapshot mcfs-scheduler; do
	ln -s "$tools/$program" "$work/bin/$program"
done
export PATH=$work/bin:$PATH MCFS_KEY_FILE= MCFS_STORE=
unset MCFS_KEY_FILE MCFS_STORE
expect 0 "$MCFS_DEMO_WORLD" create "$work/srv/mc/world" --regions 1

fuse=
if [ -c /dev/fuse ] && mcfs mount --help >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
	fuse=yes
else
	echo "without FUSE: the blocks that mount are left out"
fi

here() { # the text on standard input with the page's paths moved
	sed -E "s#(^|[^A-Za-z0-9._/-])/(srv/mc|backup|mnt/mc|etc/mcfs)#\1$work/\2#g"
}

seen=0
run_block() { # TEXT
	local line code
	while IFS= read -r line; do
		[ "$line" ] || continue
		check "$line"
		seen=$((seen + 1))
		# In this shell: exports stay. A pipe's reader may end before its writer (head).
		set +o pipefail
		eval "$(here <<<"$line")" >"$work/stdout" 2>"$work/stderr" ||
			{ code=$?; cat "$work/stdout" "$work/stderr" >&2; fail "docs/GUIDE.md: exit code $code: $line"; }
		set -o pipefail
		head -n 12 "$work/stdout" | sed 's/^/	/'
		if grep -qE 'Sanitizer|runtime error:' "$work/stderr"; then
			cat "$work/stderr" >&2
			fail "a sanitizer complains: $line"
		fi
		case $line in
		"mcfs mount "*) mounted=$work/mnt/mc ;;
		"mcfs umount "*) mounted= ;;
		esac
	done <<<"$1"
}

block() { # INFO TEXT
	set -- "$1" "$2" ${1#* }
	case $1 in
	sh) run_block "$2" ;;
	"sh fuse") [ -z "$fuse" ] || run_block "$2" ;;
	"sh drill")
		check "on another machine, with a copy of the store and the key file"
		cp -a "$work/backup/mc" "$work/backup/copy"
		mkdir -p "$work/machine"
		cp -a "$MCFS_CONFIG_DIR" "$work/machine/config"
		export MCFS_CONFIG_DIR=$work/machine/config MCFS_CACHE_DIR=$work/machine/cache
		export MCFS_STATE_DIR=$work/machine/state
		run_block "$2"
		;;
	play) "$MCFS_DEMO_WORLD" play "$work/srv/mc/world" --minutes 10 >/dev/null ;;
	"yaml "* | "ini "*) here <<<"$2" >"$work${1#* }" ;;
	text) ;;
	*) fail "docs/GUIDE.md: a block of an unknown kind: '$1'" ;;
	esac
}

info='' text='' inside=
while IFS= read -r line; do
	case $line in
	'```'*)
		if [ "$inside" ]; then
			block "$info" "$text"
			inside= text=''
		else
			inside=yes info=${line#'```'}
		fi
		;;
	*) [ -z "$inside" ] || text+=$line$'\n' ;;
	esac
done <"$guide"
[ -z "$inside" ] || fail "docs/GUIDE.md: a block without an end"
[ "$seen" -gt 30 ] || fail "only $seen commands were found in docs/GUIDE.md"
echo "$seen commands"
