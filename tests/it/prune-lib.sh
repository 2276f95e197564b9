# prune-lib.sh - for tests that change worlds; sourced after lib.sh.
: "${MCFS_REGION_LIST:?region_list}"

# FOLDER c.X.Z STAMP TYPE LENGTH CRC ok|broken, sorted; with "places" SECTOR COUNT as well.
chunks_of() { # WORLD [places]
	if [ "${2:-}" ]; then
		"$MCFS_REGION_LIST" "$1" | sort
	else
		"$MCFS_REGION_LIST" "$1" | cut -d' ' -f1-7 | sort
	fi
}

asan() { # what the sanitizer must be told when something is preloaded
	echo "${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0"
}

# The lists are equal.
equal_lists() { # WANT GOT WHAT
	cmp -s "$1" "$2" && return
	diff "$1" "$2" | sed 10q >&2 || true
	fail "$3"
}

# Nothing that could be read is broken now, no half-written file is left lying (pass "any" to allow it), and
# what the world lacks is in the trash. want: chunks_of before.
nothing_lost() { # WANT WORLD WHAT
	chunks_of "$2" >"$work/now.list"
	comm -13 "$1" "$work/now.list" | sed -n '/ broken$/p' >"$work/broken.list"
	[ ! -s "$work/broken.list" ] || {
		head -n 5 "$work/broken.list" >&2
		fail "$3: a chunk is broken"
	}
	comm -23 "$1" "$work/now.list" | cut -d' ' -f2 | sort -u >"$work/lacks.list"
	{ "$MCFS" trash list --world "$2" 2>/dev/null || true; } |
		{ grep -v ' prune-waits ' || true; } | { grep -oE 'c\.-?[0-9]+\.-?[0-9]+ ' || true; } | tr -d ' ' | sort -u >"$work/has.list"
	comm -23 "$work/lacks.list" "$work/has.list" >"$work/lost.list"
	[ ! -s "$work/lost.list" ] || {
		head -n 5 "$work/lost.list" >&2
		fail "$3: chunks are neither in the world nor in the trash"
	}
}

# A stand-in for a server on the world $w: ready when start_server returns.
start_server() {
	rm -f "$work/to"
	mkfifo "$work/to"
	"$MCFS_SERVER_STAND_IN" "$w" <"$work/to" >"$work/from" 2>&1 &
	server=$!
	exec 9>"$work/to"
	until grep -q 'ready\|locked\|failed' "$work/from"; do sleep 0.02; done
}

ask() { # COMMAND -> waits for its answer
	local n
	n=$(wc -l <"$work/from")
	echo "$*" >&9
	until [ "$(wc -l <"$work/from")" -gt "$n" ]; do sleep 0.02; done
	! tail -n 1 "$work/from" | grep failed
}

stop_server() {
	ask quit
	exec 9>&-
	wait "$server"
}
