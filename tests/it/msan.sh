#!/bin/bash
# MemorySanitizer: no decision of the deflates depends on a byte that was never written. Replays the
# corpora of the targets that need none but our own code and zlib, built by clang with -fsanitize=memory.
#
# zlib and libdeflate are the system's and not instrumented. What zlib's deflate writes is vouched for in
# the targets (__msan_unpoison); what is read from libdeflate are checksums, returned by value. Inflate,
# zstd, libsodium and SQLite fill buffers that MemorySanitizer would take for unwritten: everything that
# goes through them is left to AddressSanitizer.
. "${0%/*}/lib.sh"
: "${MCFS_SOURCE_ROOT:?where the sources are}"
cd "$MCFS_SOURCE_ROOT"

command -v clang >/dev/null || skip "clang is not there"
echo 'int main(void) { return 0; }' >"$work/t.c"
{ clang -fsanitize=memory "$work/t.c" -o "$work/t" && "$work/t"; } 2>/dev/null ||
	skip "this clang has no MemorySanitizer here"

msan() { # TARGET SOURCE..
	local target=$1
	shift
	check "$target"
	clang -std=gnu17 -g -O1 -fsanitize=memory -fsanitize-memory-track-origins -fno-omit-frame-pointer \
		-I. "$@" engine/base/{buf,err}.c "tests/fuzz/fuzz_$target.c" tests/fuzz/replay.c \
		-o "$work/$target" -lz -ldeflate || fail "$target is not built"
	expect 0 env MSAN_OPTIONS=exitcode=99 "$work/$target" "tests/fuzz/corpus/$target"
}

msan exact_deflate engine/codec/exact_deflate*.c
msan foreign engine/codec/foreign*.c
msan region engine/anvil/region.c
