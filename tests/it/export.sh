#!/bin/bash
# mcfs export: what GNU tar makes of the tar equals the source, metadata included; damage is named
# and leaves the tar whole.
. "${0%/*}/lib.sh"
for tool in tar rsync setfattr setfacl; do
	command -v "$tool" >/dev/null || skip "there is no $tool"
done
is_root || skip "owners and devices need root"
export MCFS_STORE=$work/store
world=$work/world

make_files() {
	mkdir "$world/empty" "$world/closed"
	printf 'x' >"$world/small"
	: >"$world/nothing"
	head -c 3000000 /dev/urandom >"$world/large"
	ln "$world/large" "$world/empty/linked"
	ln "$world/large" "$world/$(printf 'linked-\377')"
	ln -s "$(printf 'target-\377/../x')" "$world/symlink"
	ln "$world/symlink" "$world/symlink2"
	mkfifo "$world/fifo"
	mknod "$world/null" c 1 3
	mknod "$world/loop" b 7 200
	chown 3000000:4000000 "$world/large"
	chown -h 12:34 "$world/symlink"
	chmod 4751 "$world/small"
	chmod 0 "$world/nothing"
	touch -d '1969-12-31 23:59:57.123456789' "$world/small"
	touch -d '2099-01-02 03:04:05.000000001' "$world/nothing"
}

# Bytes that are not UTF-8, that a converter would normalise, or "repair".
make_names() {
	printf 'a' >"$world/$(printf 'not-utf8-\377\376')"
	printf 'b' >"$world/$(printf 'caf\303\251')"
	printf 'c' >"$world/$(printf 'nfd-e\314\201')"
	printf 'd' >"$world/$(printf 'half-\355\240\275\355\270\200')"
	printf 'e' >"$world/$(printf 'new\nline and "quotes" \\ ')"
	local long=$world
	while [ ${#long} -lt 3700 ]; do
		long=$long/$(printf 'd%.0s' {1..180})
		mkdir "$long"
	done
	printf 'deep' >"$long/deep"
}

make_holes() {
	truncate -s 300M "$world/hole"
	truncate -s 40M "$world/sparse" "$world/sparse2"
	printf 'middle' | dd of="$world/sparse" bs=1 seek=20000000 conv=notrunc status=none
	printf 'start' | dd of="$world/sparse2" bs=1 seek=0 conv=notrunc status=none
	printf 'end' | dd of="$world/sparse2" bs=1 seek=$((40 * 1024 * 1024 - 3)) conv=notrunc status=none
}

make_attributes() {
	setfattr -n user.test -v "$(printf 'line\nand more')" "$world/small" || return
	setfattr -n user.binary -v 0x00ff010a3d00 "$world/large"
	setfattr -n user.empty "$world/empty"
	setfacl -m u:1234:rw,g:5678:r,m::rw "$world/small"
	setfacl -m d:u:1234:rwx,d:g::r "$world/closed"
	setfacl -m u:77:- "$world/closed"
}

"$MCFS_DEMO_WORLD" create "$world" --regions 1 --seed 7
make_files
make_names
make_holes
make_attributes 2>/dev/null || echo "(this file system has no attributes)"
touch -d '2001-02-03 04:05:06.7' "$world/empty" "$world"
expect 0 "$MCFS" init
expect 0 "$MCFS" snapshot "$world"

check "GNU tar restores everything"
"$MCFS" export latest >"$work/all.tar"
mkdir "$work/out"
tar --xattrs --acls -xpf "$work/all.tar" -C "$work/out" 2>"$work/remarks" ||
	fail "tar: $(cat "$work/remarks")"
# The keyword is for the five names and targets that are not UTF-8; the times are meant to be odd.
if grep -v "time stamp" "$work/remarks" | grep -v "keyword 'hdrcharset'"; then
	fail "tar remarks on something"
fi
[ "$(grep -c hdrcharset "$work/remarks")" -le 5 ] || fail "hdrcharset where it is not needed"
same "$world" "$work/out/world"

check "holes stay holes"
[ "$(stat -c %b "$work/out/world/hole")" -lt 100 ] || fail "the hole was filled"
[ "$(stat -c %b "$work/out/world/sparse")" -lt 1000 ] || fail "the sparse file was filled"
[ "$(stat -c %s "$work/all.tar")" -lt 100000000 ] || fail "holes are in the tar"

check "a directory's contents, and one file"
mkdir "$work/part"
"$MCFS" export latest:world/region/ | tar -xpf - -C "$work/part"
"$MCFS" export latest:world/level.dat | tar -xpf - -C "$work/part"
cmp "$world/level.dat" "$work/part/level.dat"
rm "$work/part/level.dat"
diff -r "$world/region" "$work/part"

check "misuse"
expect 1 "$MCFS" export latest:world/absent
says "there is no 'world/absent'"
expect 1 "$MCFS" export latest:world/small/
expect 2 "$MCFS" export
if command -v script >/dev/null; then
	expect 2 script -qec "'$MCFS' export latest" /dev/null
	says "not for a terminal"
fi

check "a full disk is an error, and so is a reader that goes away"
if [ -e /dev/full ]; then
	code=0
	"$MCFS" export latest >/dev/full 2>"$work/stderr" || code=$?
	[ "$code" = 1 ] || fail "exit code $code"
	one_clear_line
	grep -q "No space" "$work/stderr" || fail "it does not say why"
fi
"$MCFS" export latest 2>/dev/null | head -c 100000 >/dev/null && fail "a cut tar is a success"

check "a damaged pack: it is named, exit code 12, and the tar is whole"
victim=$(find "$MCFS_STORE/packs" -type f -size +1M -print -quit)
chmod u+w "$victim"
printf 'UUUUUUUUUUUUUUUU' |
	dd of="$victim" bs=1 seek=$(($(stat -c %s "$victim") / 2)) conv=notrunc status=none
code=0
"$MCFS" export latest >"$work/damaged.tar" 2>"$work/stderr" || code=$?
[ "$code" = 12 ] || fail "exit code $code"
grep -q "^mcfs: world/" "$work/stderr" || fail "the damaged file is not named"
tar -tf "$work/damaged.tar" >"$work/names" 2>/dev/null || fail "the tar is not whole"
grep -q "^world/small$" "$work/names" || fail "undamaged files are missing"
