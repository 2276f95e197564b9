#!/bin/bash
# A tree with everything that file systems know comes back as it was: promise 1.
. "${0%/*}/lib.sh"

noise() { # BYTES SEED: the same bytes every time
	awk -v n="$1" -v seed="$2" 'BEGIN { srand(seed)
		for (i = 0; i < n; i += 8) printf "%08x", int(rand() * 4294967296) }' | head -c "$1"
}

make_tree() { # DIR
	mkdir "$1"
	(
		cd "$1"
		mkdir empty deep 'with space' sub .hidden
		: >zero
		for n in 1 2 3 63 64 65 4095 4096 4097 65535 65536 65537 131071 131072 131073 1048575 1048576 1048577; do
			noise "$n" "$n" >"size-$n"
		done
		head -c 5242880 /dev/urandom >random-5M
		printf 'x' >'with space/a b'
		printf 'x' >$'newline\nin name'
		printf 'x' >$'not-utf8-\xff\xfe\x80'
		printf 'x' >$'control-\x01\x1b[31m'
		printf 'x' >'quote"and\backslash'
		printf 'x' >'-starts-with-dash'
		printf 'x' >.hidden/...
		printf 'x' >"$(printf 'n%.0s' $(seq 255))"
		printf 'y' >"$(printf 'ü%.0s' $(seq 127))"

		# Links
		ln -s zero link-to-file
		ln -s nowhere/at/all dangling
		ln -s / link-to-root
		ln -s . sub/loop
		ln -s "$(printf 'long/%.0s' $(seq 800))" long-target
		ln -s $'target\nwith newline \xff' odd-target
		echo linked >hard-1
		ln hard-1 hard-2
		ln hard-1 sub/hard-3
		ln dangling hard-symlink
		: >hard-empty-1
		ln hard-empty-1 deep/hard-empty-2

		# What is no file
		mkfifo -m 640 fifo
		ln fifo fifo-2

		# Modes and times
		echo s >setuid && chmod 4755 setuid
		echo s >setgid && chmod 2711 setgid
		mkdir sticky && chmod 1777 sticky
		mkdir locked && echo s >locked/in && chmod 000 locked/in && chmod 500 locked
		chmod 000 zero
		touch -d '1970-01-01 00:00:00.000000001 UTC' size-1
		touch -d '1901-12-13 20:45:53.5 UTC' size-2
		touch -d '2062-04-05 06:07:08.123456789 UTC' size-3
		touch -h -d '2001-02-03 04:05:06.987654321 UTC' dangling
		touch -d '1999-12-31 23:59:59.999999999 UTC' empty

		# Holes: at the start, in the middle, at the end, everywhere
		truncate -s 3000000 hole-all
		{ noise 5000 1; } >hole-end && truncate -s 2000000 hole-end
		truncate -s 1000000 hole-start && noise 5000 2 >>hole-start
		noise 100000 3 >hole-middle && truncate -s 3000000 hole-middle && noise 70000 4 >>hole-middle
		head -c 1000000 /dev/zero >zeros-not-hole
		# Ends one byte behind a hole's end
		truncate -s 1048576 hole-odd && printf z >>hole-odd

		# Duplicates
		cp random-5M random-5M-again
		cp size-65536 sub/same
	)
	# 4 KiB of path: names of 240 below each other, as far as any tool can still say them.
	local long
	long=$(printf 'p%.0s' $(seq 240))
	(
		cd "$1/deep"
		while [ "$(pwd | wc -c)" -lt 3700 ]; do
			mkdir "$long"
			cd "$long"
		done
		echo bottom >bottom
	)
}

# What only root may make, or only some file systems know.
make_special() { # DIR
	(
		cd "$1"
		if setfattr -n user.mcfs.test -v 'value' size-64 2>/dev/null; then
			setfattr -n user.empty size-64
			setfattr -n user.binary -v 0x00ff0a size-65
			setfattr -n user.dir -v d sub
			setfattr -n user.large -v "$(printf 'v%.0s' $(seq 2000))" hard-1
		else
			echo "	(no extended attributes on this file system)"
		fi
		if setfacl -m u:12345:rw size-4096 2>/dev/null; then
			setfacl -m g:54321:r-x,m::rwx size-4097
			setfacl -d -m u:12345:rwx sub
		else
			echo "	(no ACLs on this file system)"
		fi
		is_root || return 0
		chown 1234:4321 size-63
		chown -h 55:66 dangling
		chown 0:7 setgid && chmod 2711 setgid
		chown 4294967294:4294967294 size-64
		setfattr -n trusted.mcfs -v t size-65 2>/dev/null || true
		setfattr -h -n trusted.link -v l link-to-file 2>/dev/null || true
		mknod null c 1 3 2>/dev/null || echo "	(no device nodes here)"
		mknod disk b 259 1048575 2>/dev/null || true
	)
}

# A socket, where something can make one; bash alone cannot.
make_socket() { # PATH
	if command -v python3 >/dev/null; then
		python3 -c 'import os, socket, sys
os.chdir(os.path.dirname(sys.argv[1]))
socket.socket(socket.AF_UNIX).bind(os.path.basename(sys.argv[1]))' "$1"
	fi
}

check "make a tree with everything in it"
make_tree "$work/tree"
make_special "$work/tree"
make_socket "$work/tree/socket"
export MCFS_STORE=$work/store
expect 0 "$MCFS" init

check "a snapshot at once, while the clock may not have moved since the last change"
is_root || chmod 600 "$work/tree/zero" "$work/tree/locked/in"
ln "$work/tree/hard-1" "$work/tree/hard-just-now"
expect 0 "$MCFS" --json snapshot "$work/tree"
files=$(find "$work/tree" -type f -printf x | wc -c)
[ "$(json files)" = "$files" ] || fail "$(json files) files counted instead of $files"
expect 0 "$MCFS" restore latest --to "$work/out-1"
same "$work/tree" "$work/out-1/tree"
[ "$(stat -c %b "$work/out-1/tree/hole-all")" = 0 ] || fail "a hole was filled"
got=$(stat -c %b "$work/out-1/tree/hole-middle") want=$(stat -c %b "$work/tree/hole-middle")
[ "$got" -le "$((want + 64))" ] || fail "holes take $got blocks instead of $want"
rm -rf "$work/out-1"

check "an unchanged snapshot adds nearly nothing, and holds the same"
settle
expect 0 "$MCFS" snapshot "$work/tree" # freshly written files are read again, once
settle
before=$(store_bytes "$work/store")
expect 0 "$MCFS" --json snapshot "$work/tree"
[ "$(json files_changed)" = 0 ] || fail "$(json files_changed) files are taken for changed"
grown=$(($(store_bytes "$work/store") - before))
[ "$grown" -lt 8192 ] || fail "an unchanged snapshot added $grown bytes"
expect 0 "$MCFS" restore latest --to "$work/out-2" --verify
same "$work/tree" "$work/out-2/tree"

check "the same without the cache"
rm -rf "$MCFS_CACHE_DIR" "$work/out-2"
expect 0 "$MCFS" restore latest: --to "$work/out-3"
same "$work/tree" "$work/out-3/tree"

check "restored over itself nothing changes"
expect 0 "$MCFS" restore latest --to "$work/out-3" --delete
same "$work/tree" "$work/out-3/tree"

check "changes of every kind between two snapshots"
cd "$work/tree"
chmod 600 zero
rm size-2 hard-2 dangling
mv size-3 moved-3
printf tail >>random-5M
printf 'head' | cat - random-5M-again >inserted
dd if=/dev/urandom of=random-5M-again bs=1 count=100 seek=2500000 conv=notrunc 2>/dev/null
rm fifo fifo-2 && mkdir fifo && echo now-a-directory >fifo/x
rmdir empty && echo now-a-file >empty
ln -sf elsewhere link-to-file
truncate -s 1 size-1048576
printf 'data' | dd of=hole-all bs=1 seek=1500000 conv=notrunc 2>/dev/null
rm -f socket
cd "$work"
before=$(store_bytes "$work/store")
expect 0 "$MCFS" --json snapshot "$work/tree"
grown=$(($(store_bytes "$work/store") - before))
# Only pieces of the two large files are new, not the files.
[ "$grown" -lt 5500000 ] || fail "small changes added $grown bytes"
expect 0 "$MCFS" restore latest --to "$work/out-4"
same "$work/tree" "$work/out-4/tree"
expect 0 "$MCFS" restore latest --to "$work/out-3" --delete --overwrite if-changed
same "$work/tree" "$work/out-3/tree"
check_store "$work/store"
