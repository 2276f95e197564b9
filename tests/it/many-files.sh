#!/bin/bash
# One directory with very many names: all come back, a change of one costs little.
#
# MCFS_MANY: how many (20,000 here; a million is what mcfs promises).
. "${0%/*}/lib.sh"
many=${MCFS_MANY:-20000}
export MCFS_STORE=$work/store

mkdir "$work/src"
(cd "$work/src" && seq -f 'some-file-%08.0f' "$many" | xargs touch)
echo content >"$work/src/some-file-00000777"
settle

# A directory's own size is the file system's affair.
names() { # DIR
	(cd "$1" && find . \( -type d -printf '%P %T@ %m\n' \) -o -printf '%P %s %T@ %m\n' | sort | sha256sum)
}

check "$many names"
expect 0 "$MCFS" init
expect 0 "$MCFS" --json snapshot "$work/src"
[ "$(json files)" = "$many" ] || fail "$(json files) files counted"
expect 0 "$MCFS" restore latest --to "$work/to"
[ "$(names "$work/src")" = "$(names "$work/to/src")" ] || fail "not all came back as they were"
expect 0 "$MCFS" cat latest:src/some-file-00000777
[ "$(cat "$work/stdout")" = content ] || fail "one of them cannot be found"

check "one more, one less, one changed"
settle
rm "$work/src/some-file-00000500"
echo new >"$work/src/some-file-new"
echo changed >"$work/src/some-file-00000600"
before=$(store_bytes "$work/store")
expect 0 "$MCFS" snapshot "$work/src"
grown=$(($(store_bytes "$work/store") - before))
[ "$grown" -lt 200000 ] || fail "three changes added $grown bytes"
expect 0 "$MCFS" restore latest --to "$work/to" --delete --overwrite if-changed
[ "$(names "$work/src")" = "$(names "$work/to/src")" ] || fail "the second one is different"
