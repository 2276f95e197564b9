#!/bin/bash
# Passphrases and key files: every way to give them, and every wrong one.
. "${0%/*}/lib.sh"

mkdir "$work/src"
echo hello >"$work/src/file"

check "init without a passphrase makes a key file, 0600, outside of the store, and says where"
expect 0 "$MCFS" -s "$work/keyed" init
key=$(sed -n 's/^key file //p' "$work/stdout")
[ -f "$key" ] || fail "no key file '$key'"
[ "$(stat -c %a "$key")" = 600 ] || fail "its mode is $(stat -c %a "$key")"
case $key in "$work/keyed"*) fail "it is inside of the store" ;; esac
expect 0 "$MCFS" -s "$work/keyed" snapshot "$work/src"
! grep -rq hello "$work/keyed" || fail "contents are readable in the store"
! grep -rqa "$(sed -n 's/^key //p' "$key")" "$work/keyed" || fail "the key is in the store"

check "the key file named by hand, gone, another's, cut short, empty"
mv "$key" "$work/moved.key"
expect 11 "$MCFS" -s "$work/keyed" list
one_clear_line
says "the store's key file '$key' is not there: put it back, or say in MCFS_KEY_FILE"
expect 0 env MCFS_KEY_FILE="$work/moved.key" "$MCFS" -s "$work/keyed" list
expect 0 "$MCFS" -s "$work/other" init
other=$(sed -n 's/^key file //p' "$work/stdout")
expect 11 env MCFS_KEY_FILE="$other" "$MCFS" -s "$work/keyed" list
one_clear_line
expect 11 env MCFS_KEY_FILE="$work/nowhere" "$MCFS" -s "$work/keyed" list
one_clear_line
head -c 100 "$work/moved.key" >"$work/short.key"
expect 11 env MCFS_KEY_FILE="$work/short.key" "$MCFS" -s "$work/keyed" list
one_clear_line
: >"$work/empty.key"
expect 11 env MCFS_KEY_FILE="$work/empty.key" "$MCFS" -s "$work/keyed" list
one_clear_line
expect 11 env MCFS_PASSPHRASE=anything "$MCFS" -s "$work/keyed" list
one_clear_line

check "a passphrase from each place"
printf 'correct horse\n' >"$work/pass"
printf 'correct horse\r\n' >"$work/pass-crlf"
printf 'correct horse' >"$work/pass-bare"
expect 0 env MCFS_PASSPHRASE='correct horse' "$MCFS" -s "$work/store" init
! grep -q 'key file' "$work/stdout" || fail "a key file although there is a passphrase"
ways=(
	"MCFS_PASSPHRASE=correct horse"
	"MCFS_PASSPHRASE_FILE=$work/pass"
	"MCFS_PASSPHRASE_FILE=$work/pass-crlf"
	"MCFS_PASSPHRASE_FILE=$work/pass-bare"
	"MCFS_PASSPHRASE_COMMAND=printf 'correct horse\n'"
)
for way in "${ways[@]}"; do
	expect 0 env "$way" "$MCFS" -s "$work/store" list
done
expect 0 env "${ways[0]}" "$MCFS" -s "$work/store" snapshot "$work/src"
expect 0 env "${ways[4]}" "$MCFS" -s "$work/store" restore latest --to "$work/got"
same "$work/src" "$work/got/src"

check "each way to be wrong"
wrong=(
	"MCFS_PASSPHRASE=correct hors"
	"MCFS_PASSPHRASE=correct horse "
	"MCFS_PASSPHRASE_COMMAND=printf wrong"
	"MCFS_PASSPHRASE_COMMAND=printf 'correct horse'; false"
	"MCFS_PASSPHRASE_COMMAND=true"
	"MCFS_KEY_FILE=$work/moved.key"
	"NO_SECRET_AT_ALL="
)
for way in "${wrong[@]}"; do
	expect 11 env "$way" "$MCFS" -s "$work/store" list
	one_clear_line
	! grep -q 'correct hors' "$work/stderr" || fail "the passphrase is in the message"
done
expect 1 env MCFS_PASSPHRASE_FILE="$work/nowhere" "$MCFS" -s "$work/store" list
one_clear_line

check "with --json the failure is an object as well"
expect 11 env MCFS_PASSPHRASE=wrong "$MCFS" -s "$work/store" --json list
[ "$(json error)" = wrong-key ] && [ "$(json exit_code)" = 11 ] || fail "$(cat "$work/stdout")"

check "init twice, init where something is"
expect 1 "$MCFS" -s "$work/keyed" init
one_clear_line
expect 1 "$MCFS" -s "$work/src" init
one_clear_line
[ "$(find "$MCFS_CONFIG_DIR" -name '*.key' | wc -l)" = 1 ] || fail "a failed init leaves its key file"

check "what belongs to the store is its owner's alone"
! find "$work/store" -perm /077 | grep . >/dev/null || fail "others may look: $(find "$work/store" -perm /077 | head -n 3)"
