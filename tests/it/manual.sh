#!/bin/bash
# The man pages say what the programs have: every command has its page, every option of its help is in
# it and the other way round; no page names another one that is not there, and no document a file.
. "${0%/*}/lib.sh"
: "${MCFS_SCHEDULER:?the mcfs-scheduler to test}" "${MCFS_SNAPSHOT:?the mcfs-snapshot to test}"
docs=$MCFS_SOURCE_ROOT/docs
bad=0

wrong() {
	echo "$*" >&2
	bad=1
}

# The help in $work/stdout and the page must have the same options. An entry of a page begins with *-x*;
# an option of the help may stand anywhere in it.
same_options() { # NAME PAGE
	local option
	[ -s "$2" ] || { wrong "$1: there is no page ${2##*/}"; return; }
	for option in $(grep -oE -e '(^|[^a-z-])--?[a-z][a-z-]*' "$work/stdout" | grep -oE -e '--[a-z-]+' | sort -u); do
		grep -qE -e "(^|[^a-z-])$option($|[^a-z-])" "$2" || wrong "$1: $option of its help is not in ${2##*/}"
	done
	for option in $(grep -E '^\*-' "$2" | grep -oE -e '--[a-z-]+' | sort -u); do
		case $option in
		--json | --store | --quiet | --verbose) continue ;; # of all commands
		esac
		grep -qE -e "(^|[^a-z-])$option($|[^a-z-])" "$work/stdout" || wrong "$1: $option of ${2##*/} is not in its help"
	done
}

check "each command: its page, in the list of mcfs(1) in the order of the help, its options"
expect 0 "$MCFS" --help
sed -nE '/^usage/,/^  -/s/^  ([a-z]+) .*/\1/p' "$work/stdout" >"$work/commands"
[ "$(wc -l <"$work/commands")" -gt 20 ] || fail "only $(wc -l <"$work/commands") commands were found"
same_options mcfs "$docs/mcfs.1.scd"
sed -nE '/^# COMMANDS/,/^# HOW/s/^\*([a-z]+)\*$/\1/p' "$docs/mcfs.1.scd" >"$work/listed"
if ! grep -qx mount "$work/commands"; then # built without FUSE
	sed -i '/^u*mount$/d' "$work/listed"
fi
diff "$work/commands" "$work/listed" >&2 || wrong "mcfs.1.scd lists other commands, or in another order (<: the help)"
while read -r name; do
	page=$docs/mcfs-${name/#umount/mount}.1.scd
	expect 0 "$MCFS" "$name" --help
	if [ "$name" = umount ]; then # its page is the other's
		grep -q -e '--lazy' "$page" || wrong "umount: --lazy is not in ${page##*/}"
	elif [ "$name" = mount ]; then
		"$MCFS" umount --help >>"$work/stdout"
		same_options "$name" "$page"
	else
		same_options "$name" "$page"
	fi
done <"$work/commands"

check "the job and the scheduler"
expect 0 "$MCFS_SNAPSHOT" --help
same_options mcfs-snapshot "$docs/mcfs-snapshot.8.scd"
expect 0 "$MCFS_SCHEDULER" --help
same_options mcfs-scheduler "$docs/mcfs-scheduler.1.scd"

check "pages that are named are there; each has SEE ALSO"
for page in "$docs"/*.scd; do
	grep -q '^# SEE ALSO' "$page" || wrong "${page##*/}: no SEE ALSO"
	for other in $(grep -oE '\*mcfs[a-z.-]*\*\([0-9]\)' "$page" | tr -d '*' | sort -u); do
		name=${other%(*} section=${other#*(}
		[ -f "$docs/$name.${section%)}.scd" ] || wrong "${page##*/}: there is no $other"
	done
done

check "links of the documents lead to files"
for page in "$MCFS_SOURCE_ROOT/README.md" "$docs"/*.md; do
	for link in $(grep -oE '\]\([^)]+\)' "$page" | sed -E 's/^..//; s/\)$//; s/#.*//'); do
		case $link in
		http*) continue ;;
		esac
		[ -e "${page%/*}/$link" ] || wrong "${page##*/}: $link is not there"
	done
done
[ "$bad" = 0 ] || fail "documents and programs say different things"
