# history.sh - the course of a world's life, for the tests that replay one. Sourced, not run.

# The chunks of two worlds are the same, wherever they lie; all other files are the same altogether.
same_chunks() { # WANT GOT
	"$MCFS_DEMO_WORLD" chunks "$1" >"$work/want.chunks"
	"$MCFS_DEMO_WORLD" chunks "$2" >"$work/got.chunks"
	[ -s "$work/want.chunks" ] || fail "no chunks in '$1'"
	cmp "$work/want.chunks" "$work/got.chunks" || fail "the chunks of '$1' and '$2' differ"
	rsync -aHAXnc --delete --itemize-changes --exclude='*.mca' "$1/" "$2/" >"$work/diff"
	[ ! -s "$work/diff" ] || { head -n 20 "$work/diff" >&2; fail "'$1' and '$2' differ"; }
	(cd "$1" && find . -name '*.mca' -printf '%P %s %T@ %m\n' | sort) >"$work/want.list"
	(cd "$2" && find . -name '*.mca' -printf '%P %s %T@ %m\n' | sort) >"$work/got.list"
	cmp "$work/want.list" "$work/got.list" || fail "sizes or times of region files differ"
}

# Snapshot the live world into both stores and keep a copy of the moment.
moment() { # NUMBER
	settle
	expect 0 "$MCFS" -s "$work/exact" --json snapshot --tag "moment-$1" "$live"
	expect 0 "$MCFS" -s "$work/discard" --json snapshot --tag "moment-$1" "$live"
	cp -a "$live" "$work/moment-$1"
}

# Restore every moment, or every Nth, from the stores and compare.
compare_all() { # EVERY STORE_KIND..
	local every=$1
	shift
	for kind; do
		"$MCFS" -s "$work/$kind" list | sed -nE 's/^([^ ]+).*\+moment-([0-9]+).*/\1 \2/p' >"$work/moments"
		[ "$(wc -l <"$work/moments")" = "$moments" ] || fail "not all moments are listed"
		while read -r name number; do
			[ $((number % every)) = 0 ] || continue
			expect 0 "$MCFS" -s "$work/$kind" restore "$name" --to "$work/restored"
			case $kind in
			exact) same "$work/moment-$number" "$work/restored/live" ;;
			*) same_chunks "$work/moment-$number" "$work/restored/live" ;;
			esac
			rm -rf "$work/restored"
		done <"$work/moments"
	done
}

begin_history() { # now|later: when new chunks are inflated
	live=$work/live
	moments=0
	expect 0 "$MCFS" -s "$work/exact" init --recompress "$1"
	expect 0 "$MCFS" -s "$work/discard" init --slack discard --recompress "$1"
}

end_history() {
	check "each of the $moments moments restores"
	compare_all 1 exact
	compare_all 2 discard
	check "and again without cache and index"
	rm -rf "$MCFS_CACHE_DIR"
	compare_all 3 exact
	check "without slack the store is smaller"
	exact=$(store_bytes "$work/exact") discard=$(store_bytes "$work/discard")
	[ "$discard" -lt "$exact" ] || fail "$discard bytes without slack, $exact with"
	check_store "$work/exact"
	check_store "$work/discard"
}
