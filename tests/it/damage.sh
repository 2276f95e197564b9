#!/bin/bash
# A damaged store: one clear line, the right exit code, never a crash, and nothing wrong is restored.
. "${0%/*}/lib.sh"

"$MCFS_DEMO_WORLD" create "$work/world" --regions 1 --seed 5
# A few files are enough, of each kind one.
mkdir "$work/live"
take() {
	cp -a "$work/world/level.dat" "$work/world"/DIM1/region/*.mca "$work/world"/stats "$work/live/"
}
take
head -c 300000 /dev/urandom >"$work/live/noise"
expect 0 "$MCFS" -s "$work/good" init
expect 0 "$MCFS" -s "$work/good" snapshot "$work/live"
"$MCFS_DEMO_WORLD" play "$work/world" --minutes 5
take
settle
expect 0 "$MCFS" -s "$work/good" snapshot "$work/live"
expect 0 "$MCFS" -s "$work/good" restore latest --to "$work/want"
export MCFS_STORE=$work/store

# A fresh copy of the good store, and nothing remembered of it.
fresh() {
	rm -rf "$work/store" "$MCFS_CACHE_DIR" "$MCFS_STATE_DIR" "$work/got"
	cp -a "$work/good" "$work/store"
}

flip() { # FILE OFFSET: one bit
	local byte at
	at=$(($2 % $(stat -c %s "$1")))
	byte=$(od -An -tu1 -j "$at" -N 1 "$1" | tr -d ' ')
	# shellcheck disable=SC2059
	printf "\\x$(printf %02x $((byte ^ (1 << (at % 8)))))" | dd of="$1" bs=1 seek="$at" conv=notrunc 2>/dev/null
}

# Some offsets of a file: its ends and a few in between.
offsets() { # FILE
	local size
	size=$(stat -c %s "$1")
	echo 0 1 $((size / 7)) $((size / 3)) $((size / 2)) $((size * 5 / 6)) $((size - 33)) $((size - 2)) $((size - 1))
}

# Whatever came out is right: a file is as it was or it is not there.
nothing_wrong() {
	[ -d "$work/got" ] || return 0
	(cd "$work/got" && find . -type f -print0) | while IFS= read -r -d '' f; do
		cmp -s "$work/want/$f" "$work/got/$f" || fail "'$f' was restored wrong"
	done
	! find "$work/got" -name '.mcfs-*' | grep . >/dev/null || fail "temporary files were left"
}

# Restoring fails with one of these codes, or works when the flaw is not in what is needed.
restore_fails() { # CODES WHAT
	local got=0
	"$MCFS" restore latest --to "$work/got" >"$work/stdout" 2>"$work/stderr" || got=$?
	! grep -qE 'Sanitizer|runtime error' "$work/stderr" || { cat "$work/stderr" >&2; fail "$2"; }
	case " $1 " in
	*" $got "*) ;;
	*)
		tail -n 5 "$work/stderr" >&2
		fail "$2: exit code $got instead of one of $1"
		;;
	esac
	[ "$got" = 0 ] || grep -q '^mcfs: ' "$work/stderr" || fail "$2: no message"
	nothing_wrong
}

one_of() { # FILE..: the first
	echo "$1"
}

check "a flipped bit in the config, or no config: the second copy is used, and told, and repair puts it right"
hurt() { # HOW FILE
	case $1 in
	gone) rm "$2" ;;
	empty) : >"$2" ;;
	long) head -c 100000 /dev/zero >>"$2" ;;
	*) flip "$2" "$1" ;;
	esac
}
for how in $(offsets "$work/good/config") gone empty long; do
	fresh
	hurt "$how" "$work/store/config"
	expect 0 "$MCFS" list
	one_clear_line
	says 'its second copy is used'
	[ "$(wc -l <"$work/stdout")" = 2 ] || fail "$how: not all snapshots are listed"
done
for one in config config.copy; do
	for how in 70 gone empty; do
		fresh
		hurt "$how" "$work/store/$one"
		expect 12 "$MCFS" check
		says "^mcfs: $one: is (missing|damaged); 'check --repair' mends that"
		expect 0 "$MCFS" check --repair
		says "$one: written anew"
		cmp "$work/good/config" "$work/store/config" && cmp "$work/good/config" "$work/store/config.copy" || fail "$one, $how"
		expect 0 "$MCFS" check
		[ ! -s "$work/stderr" ] || fail "something is said still"
	done
done
check "both copies damaged: refused"
for how in 3 70 empty; do
	fresh
	hurt "$how" "$work/store/config"
	hurt "$how" "$work/store/config.copy"
	expect 12 "$MCFS" list
	one_clear_line
	says 'key import'
done
fresh
rm "$work/store/config" "$work/store/config.copy"
expect 1 "$MCFS" list
one_clear_line
check "a changed option in the config, by someone who knows the format but has no key"
fresh
sed -i 's/^slack exact/slack discard/; /^sum /d' "$work/store/config"
echo "sum $(b2sum -l 128 "$work/store/config" | cut -d' ' -f1)" >>"$work/store/config"
expect 12 "$MCFS" list
one_clear_line
says 'changed by someone without the key'

check "a flipped bit in a snapshot object"
for at in $(offsets "$(one_of "$work"/good/snapshots/*)"); do
	fresh
	for f in "$work"/store/snapshots/*; do
		flip "$f" "$at"
	done
	expect 12 "$MCFS" list
	restore_fails "1 12" "byte $at of all snapshots"
	fresh
	flip "$(one_of "$work"/store/snapshots/*)" "$at"
	expect 12 "$MCFS" list
	one_clear_line
	[ "$(wc -l <"$work/stdout")" = 1 ] || fail "the other snapshot is not listed"
done

check "a flipped bit in an index object"
for at in $(offsets "$(one_of "$work"/good/index/*)"); do
	fresh
	for f in "$work"/store/index/*; do
		flip "$f" "$at"
	done
	# The packs' footers say the same: nothing is lost, but it is told.
	expect 0 "$MCFS" restore latest --to "$work/got"
	says "index/[0-9a-f]+: index object does not authenticate"
	nothing_wrong
	diff -r "$work/want" "$work/got" >&2 || fail "it differs"
	expect 12 "$MCFS" check
done

check "a flipped bit in a pack"
pack=$(one_of "$work"/good/packs/*/*)
for at in $(offsets "$pack"); do
	fresh
	flip "$work/store/${pack#"$work/good/"}" "$at"
	restore_fails "0 12" "byte $at of a pack"
	if has_command check; then
		expect 12 "$MCFS" check --read-data
	fi
done

check "each pack missing, and each cut short"
for pack in "$work"/good/packs/*/*; do
	name=${pack#"$work/good/"}
	fresh
	rm "$work/store/$name"
	restore_fails 12 "without a pack"
	says "pack [0-9a-f]+ is missing"
	fresh
	truncate -s $(($(stat -c %s "$pack") / 2)) "$work/store/$name"
	restore_fails "0 12" "a pack cut short"
	if has_command check; then
		expect 12 "$MCFS" check
	fi
	fresh
	truncate -s 0 "$work/store/$name"
	restore_fails 12 "a pack cut to nothing"
	if has_command check; then
		expect 12 "$MCFS" check
	fi
done

check "objects that stand in for each other"
fresh
mv "$(ls -d "$work"/store/snapshots/* | head -n 1)" "$work/swap"
cp "$(ls -d "$work"/store/snapshots/* | head -n 1)" "$work/store/snapshots/$(basename "$(ls -d "$work"/good/snapshots/* | head -n 1)")"
expect 12 "$MCFS" list
fresh
first=$(ls "$work"/store/index/* | sed -n 1p)
cp "$(one_of "$work"/store/snapshots/*)" "$first"
expect 0 "$MCFS" restore latest --to "$work/got"
nothing_wrong
expect 12 "$MCFS" check

check "snapshots that vanished are noticed"
fresh
expect 0 "$MCFS" list
rm "$work"/store/snapshots/*
cp -a "$work"/good/snapshots/* "$work/keep" 2>/dev/null || true
expect 12 "$MCFS" list
one_clear_line
says "put back to an older state|lost snapshots"

check "what is no store"
mkdir "$work/nothing"
for command in list info "snapshot $work/live" "restore latest --to $work/got"; do
	# shellcheck disable=SC2086
	expect 1 "$MCFS" -s "$work/nothing" $command
	one_clear_line
	# shellcheck disable=SC2086
	expect 1 "$MCFS" -s "$work/not-there" $command
	one_clear_line
done
for content in '' 'mcfs store 1' $'mcfs store 99\nid x\n' "$(head -c 70000 /dev/zero | tr '\0' x)"; do
	printf '%s\n' "$content" >"$work/nothing/config"
	got=0
	"$MCFS" -s "$work/nothing" list >"$work/stdout" 2>"$work/stderr" || got=$?
	[ "$got" = 12 ] || [ "$got" = 1 ] || fail "a config of '${content:0:20}': exit code $got"
	one_clear_line
done

check "the cache: garbage, another store's, a directory in its place, nowhere to write"
fresh
expect 0 "$MCFS" list
index=$(find "$MCFS_CACHE_DIR" -name index.sqlite)
head -c 50000 /dev/urandom >"$index"
restore_fails 0 "garbage for an index"
rm -rf "$work/got"
for at in 100 4096 9000; do
	flip "$index" "$at"
	restore_fails "0" "a flipped bit in the index cache"
	rm -rf "$work/got"
done
rm -f "$index"*
mkdir "$index"
restore_fails 0 "a directory for an index"
rm -rf "$work/got" "$MCFS_CACHE_DIR"
: >"$MCFS_CACHE_DIR"
restore_fails 0 "a file for a cache directory"
