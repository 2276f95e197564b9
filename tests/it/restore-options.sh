#!/bin/bash
# restore: what goes where, --dry-run, --delete, --overwrite, --verify, and links on the way.
. "${0%/*}/lib.sh"
export MCFS_STORE=$work/store

mkdir -p "$work"/src/{dir/below,other}
echo one >"$work/src/file"
echo two >"$work/src/dir/file"
echo three >"$work/src/dir/below/file"
echo four >"$work/src/other/file"
expect 0 "$MCFS" init
expect 0 "$MCFS" snapshot "$work/src"

restored() { # WANT GOT
	same "$1" "$2"
	rm -rf "$work/to"
}

check "the whole, a directory by name, what is in it, a file"
expect 0 "$MCFS" restore latest --to "$work/to"
restored "$work/src" "$work/to/src"
expect 0 "$MCFS" restore latest:src/dir --to "$work/to"
restored "$work/src/dir" "$work/to/dir"
expect 0 "$MCFS" restore latest:src/dir/ --to "$work/to"
[ "$(cat "$work/to/below/file")" = three ] && [ ! -e "$work/to/dir" ] || fail "dir/ is not what is in dir"
rm -rf "$work/to"
expect 0 "$MCFS" restore latest:src/dir/file --to "$work/to/made/on/the/way"
[ "$(cat "$work/to/made/on/the/way/file")" = two ] || fail "one file did not come"
rm -rf "$work/to"
expect 1 "$MCFS" restore latest:src/nothing --to "$work/to"
one_clear_line
expect 1 "$MCFS" restore latest:src/file/below --to "$work/to"

check "--dry-run writes nothing"
rm -rf "$work/to"
expect 0 "$MCFS" restore latest --to "$work/to" --dry-run
says 'write +src/dir/below/file'
[ ! -e "$work/to" ] || fail "something was written"
cp -a "$work/src" "$work/to"
echo extra >"$work/to/extra"
rm "$work/to/file"
touch -d 2000-01-01 "$work/to/dir" "$work/to"
cp -a "$work/to" "$work/to-before"
expect 0 "$MCFS" restore latest:src/ --to "$work/to" --dry-run --delete
says 'delete +extra'
same "$work/to-before" "$work/to"

check "--delete removes what is not in the snapshot, in restored directories only"
mkdir -p "$work/to/dir/more/deep"
echo x >"$work/to/dir/more/deep/x"
chmod 500 "$work/to/dir/more"
ln -s / "$work/to/dir/link"
expect 0 "$MCFS" restore latest:src/dir/ --to "$work/to/dir" --delete
[ -e "$work/to/extra" ] || fail "something outside of what is restored was deleted"
same "$work/src/dir" "$work/to/dir"
[ -d /etc ] || fail "a link was followed"
expect 0 "$MCFS" restore latest:src/ --to "$work/to" --delete
restored "$work/src" "$work/to"

check "without --delete everything else stays"
cp -a "$work/src" "$work/to"
echo extra >"$work/to/extra"
expect 0 "$MCFS" restore latest:src/ --to "$work/to"
[ "$(cat "$work/to/extra")" = extra ] || fail "a file of the user's is gone"

check "--overwrite"
echo own >"$work/to/file" # other size and time
touch -d '2001-01-01' "$work/to/dir/file" # same size, other time
expect 0 "$MCFS" restore latest:src/ --to "$work/to" --overwrite never
[ "$(cat "$work/to/file")" = own ] || fail "'never' replaced a file"
rm "$work/to/other/file"
expect 0 "$MCFS" restore latest:src/ --to "$work/to" --overwrite never
[ "$(cat "$work/to/other/file")" = four ] || fail "'never' did not bring a missing file"
inode=$(stat -c %i "$work/to/other/file")
expect 0 "$MCFS" restore latest:src/ --to "$work/to" --overwrite if-changed --delete
[ "$(stat -c %i "$work/to/other/file")" = "$inode" ] || fail "'if-changed' replaced an unchanged file"
same "$work/src" "$work/to"
inode=$(stat -c %i "$work/to/file")
expect 0 "$MCFS" restore latest:src/ --to "$work/to" --overwrite always
[ "$(stat -c %i "$work/to/file")" != "$inode" ] || fail "'always' left a file"
restored "$work/src" "$work/to"

check "--verify"
expect 0 "$MCFS" --json restore latest --to "$work/to" --verify
[ "$(json verified)" = 4 ] || fail "$(json verified) files verified instead of 4"
restored "$work/src" "$work/to/src"

check "links in the way are replaced, never followed"
mkdir -p "$work/to/src" "$work/outside"
echo mine >"$work/outside/file"
ln -s "$work/outside" "$work/to/src/dir"
ln -s "$work/outside/file" "$work/to/src/file"
expect 0 "$MCFS" restore latest --to "$work/to"
[ "$(cat "$work/outside/file")" = mine ] && [ "$(ls "$work/outside")" = file ] || fail "written through a link"
restored "$work/src" "$work/to/src"
rm -rf "$work/outside"

check "a directory in a file's place, a file in a directory's"
mkdir -p "$work/to/src/file/full"
echo x >"$work/to/src/dir"
expect 3 "$MCFS" restore latest --to "$work/to"
says 'src/file: a directory is in its place'
[ -d "$work/to/src/file/full" ] || fail "a directory was removed without --delete"
expect 0 "$MCFS" restore latest --to "$work/to" --delete
restored "$work/src" "$work/to/src"

check "an interrupted restore leaves old files or new ones, and no half ones"
head -c 30000000 /dev/urandom >"$work/src/large"
settle
expect 0 "$MCFS" snapshot "$work/src"
mkdir -p "$work/to/src"
echo old >"$work/to/src/large"
"$MCFS" restore latest --to "$work/to" >/dev/null 2>&1 &
pid=$!
sleep 0.05
kill -INT "$pid" 2>/dev/null || true
got=0
wait "$pid" || got=$?
case $got in
0) ;;
130) [ "$(cat "$work/to/src/large")" = old ] || cmp "$work/to/src/large" "$work/src/large" ||
	fail "a half file" ;;
*) fail "interrupted: exit code $got" ;;
esac
! find "$work/to" -name '.mcfs-*' | grep . >/dev/null || fail "a temporary file was left"
