#!/bin/bash
# Key slots: several at once, wrong ones, removal, change, rotation, recovery keys, lost configs, kills.
. "${0%/*}/lib.sh"

export MCFS_STORE=$work/store
mkdir "$work/src"
echo hello >"$work/src/file"
expect 0 "$MCFS" init
keyfile=$(sed -n 's/^key file //p' "$work/stdout")
expect 0 "$MCFS" snapshot "$work/src"
packs_before=$(find "$MCFS_STORE/packs" -type f | sort)

slots() {
	expect 0 "$MCFS" key list
	wc -l <"$work/stdout"
}
opens() { # VARIABLE=VALUE: and no key file is at hand
	expect 0 env MCFS_CONFIG_DIR="$work/nothing" "$1" "$MCFS" cat latest:src/file
	says '^hello$'
}
shut() {
	expect 11 env MCFS_CONFIG_DIR="$work/nothing" "$1" "$MCFS" list
	one_clear_line
}

check "add a passphrase, a second one, a key file, a recovery key"
expect 2 "$MCFS" key add passphrase </dev/null
one_clear_line
expect 0 env MCFS_NEW_PASSPHRASE=first "$MCFS" key add passphrase --label alice
expect 2 env MCFS_NEW_PASSPHRASE=x "$MCFS" key add passphrase --label alice
expect 2 env MCFS_NEW_PASSPHRASE=x "$MCFS" key add passphrase --label 'a b'
printf 'second\n' >"$work/second"
expect 0 env MCFS_PASSPHRASE=first MCFS_NEW_PASSPHRASE_FILE="$work/second" "$MCFS" key add passphrase --label bob
expect 0 "$MCFS" key add keyfile --to "$work/other.key" --label other
expect 1 "$MCFS" key add keyfile --to "$work/other.key"
one_clear_line
expect 0 "$MCFS" -q key add recovery --label safe
recovery=$(cat "$work/stdout")
[[ $recovery =~ ^([0-9A-Z]{5}-){7}[0-9A-Z]{5}$ ]] || fail "'$recovery' is no recovery key"
[ "$(slots)" = 5 ] || fail "not five slots"
[ "$(stat -c %a "$work/other.key")" = 600 ] || fail "the key file is for all to read"
says '^\* [0-9a-f]{8} +keyfile'
says 'recovery.*safe'
opens MCFS_PASSPHRASE=first
opens MCFS_PASSPHRASE=second
opens MCFS_KEY_FILE="$work/other.key"
opens MCFS_RECOVERY_KEY="$recovery"
shut MCFS_PASSPHRASE=third

check "a recovery key as people type it"
opens MCFS_RECOVERY_KEY="$(tr 'A-Z-' 'a-z ' <<<"  $recovery ")"
tr -d - <<<"$recovery" >"$work/typed"
opens MCFS_RECOVERY_KEY_FILE="$work/typed"
last=${recovery: -1}
shut MCFS_RECOVERY_KEY="${recovery%?}$([ "$last" = A ] && echo B || echo A)"
says 'group 8'
shut MCFS_RECOVERY_KEY="${recovery%-*}"
says 'too short'
shut MCFS_RECOVERY_KEY="${recovery:6:5}-${recovery:0:5}${recovery:11}"
says 'group 1'

check "removal: by label, by id, not the one in use, not the last"
expect 0 "$MCFS" key remove bob
shut MCFS_PASSPHRASE=second
expect 1 "$MCFS" key remove bob
one_clear_line
expect 2 env MCFS_PASSPHRASE=first "$MCFS" key remove alice
one_clear_line

check "change and rotate"
expect 0 env MCFS_PASSPHRASE=first MCFS_NEW_PASSPHRASE=1st "$MCFS" key change
shut MCFS_PASSPHRASE=first
opens MCFS_PASSPHRASE=1st
expect 0 "$MCFS" key list
says 'passphrase .*alice'
expect 2 env MCFS_PASSPHRASE=1st MCFS_NEW_PASSPHRASE=x "$MCFS" key add passphrase --label alice
cp "$keyfile" "$work/old.key"
expect 0 "$MCFS" key rotate
cmp -s "$keyfile" "$work/old.key" && fail "the key file is the same"
[ ! -e "$keyfile.new" ] || fail "the new key file was left beside"
shut MCFS_KEY_FILE="$work/old.key"
expect 0 "$MCFS" list
opens MCFS_KEY_FILE="$work/other.key"
cp "$MCFS_STORE/config" "$work/config.5"
expect 0 env MCFS_PASSPHRASE=1st "$MCFS" key rotate --drop-others
[ "$(MCFS_PASSPHRASE=1st slots)" = 1 ] || fail "the others are there still"
shut MCFS_KEY_FILE="$work/other.key"
shut MCFS_RECOVERY_KEY="$recovery"
opens MCFS_PASSPHRASE=1st
export MCFS_PASSPHRASE=1st
id=$("$MCFS" key list | cut -c 3-10)
expect 2 "$MCFS" key remove "$id"
says 'last key slot'
[ "$(find "$MCFS_STORE/packs" -type f | sort)" = "$packs_before" ] || fail "packs were touched"

check "an older config is noticed"
cp "$MCFS_STORE/config" "$work/config.6"
cp "$work/config.5" "$MCFS_STORE/config"
expect 12 "$MCFS" list
one_clear_line
rm "$MCFS_STORE/config"
cp "$work/config.5" "$MCFS_STORE/config.copy"
expect 12 "$MCFS" -q list
one_clear_line
cp "$work/config.6" "$MCFS_STORE/config.copy"
cp "$work/config.6" "$MCFS_STORE/config"
expect 0 "$MCFS" list

check "export, and a config that is lost, damaged, another's"
expect 0 "$MCFS" key export "$work/exported"
[ "$(stat -c %a "$work/exported")" = 600 ] || fail "the export is for all to read"
! grep -q 1st "$work/exported" || fail "the passphrase is in it"
expect 1 "$MCFS" key export "$work/exported"
"$MCFS" key export | cmp - "$work/exported"
rm "$MCFS_STORE"/config*
expect 1 "$MCFS" list
expect 11 env MCFS_PASSPHRASE=wrong "$MCFS" key import "$work/exported"
[ ! -e "$MCFS_STORE/config" ] || fail "a config with the wrong passphrase"
expect 0 "$MCFS" key import "$work/exported"
expect 0 "$MCFS" list
sed -i 's/^slack exact/slack discard/' "$MCFS_STORE"/config*
expect 12 "$MCFS" list
says "key import"
expect 0 "$MCFS" key import "$work/exported"
expect 0 "$MCFS" list
expect 0 "$MCFS" -s "$work/store2" init
expect 0 "$MCFS" -s "$work/store2" snapshot "$work/src"
expect 0 "$MCFS" -s "$work/store2" key export "$work/exported2"
expect 11 "$MCFS" key import "$work/exported2"
one_clear_line
rm "$MCFS_STORE"/config*
expect 11 "$MCFS" key import "$work/exported2"
says 'another store'
expect 0 "$MCFS" key import "$work/exported"
echo nonsense >"$work/nonsense"
expect 12 "$MCFS" key import "$work/nonsense"
expect 0 "$MCFS" list

check "a removed secret does not come back with the second copy; a change that finds config damaged goes on from that"
expect 0 env MCFS_NEW_PASSPHRASE=gone "$MCFS" key add passphrase --label gone
opens MCFS_PASSPHRASE=gone
expect 0 "$MCFS" key remove gone
cmp "$MCFS_STORE/config" "$MCFS_STORE/config.copy" || fail "the copy is not what config is"
cp "$MCFS_STORE/config" "$work/config.7"
: >"$MCFS_STORE/config"
shut_q() {
	expect 11 env MCFS_CONFIG_DIR="$work/nothing" "$1" "$MCFS" -q list
	one_clear_line
}
shut_q MCFS_PASSPHRASE=gone
opens MCFS_PASSPHRASE=1st
expect 0 env MCFS_NEW_PASSPHRASE=more "$MCFS" key add passphrase --label more
says 'its second copy is used'
cmp "$MCFS_STORE/config" "$MCFS_STORE/config.copy" || fail "the copy is not what config is"
opens MCFS_PASSPHRASE=more
expect 0 "$MCFS" key remove more

check "a change that was interrupted between the two: config counts, a remark, and compact ends it"
cp "$work/config.7" "$MCFS_STORE/config.copy"
expect 0 "$MCFS" list
[ ! -s "$work/stderr" ] || fail "something is said"
expect 0 "$MCFS" check
says 'the second copy of the config is of a change that was interrupted'
expect 0 "$MCFS" compact
cmp "$MCFS_STORE/config" "$MCFS_STORE/config.copy" || fail "the copy is not what config is"

check "two at a time: both succeed, or one is told who is at it; no slot is lost"
unset MCFS_PASSPHRASE
expect 0 "$MCFS" -s "$work/both" init
ok=1
for i in 1 2 3 4; do
	"$MCFS" -q -s "$work/both" key add recovery --label "r$i" >"$work/out.$i" 2>"$work/err.$i" &
	pids[i]=$!
done
for i in 1 2 3 4; do
	code=0
	wait "${pids[i]}" || code=$?
	case $code in
	0) ok=$((ok + 1)) ;;
	10) ;;
	*) fail "exit code $code: $(cat "$work/err.$i")" ;;
	esac
done
[ "$ok" -ge 2 ] || fail "none of them could"
[ "$(MCFS_STORE=$work/both slots)" = "$ok" ] || fail "$ok slots were expected"

check "killed in between: the old keys or the new ones open it, and the key file that is there always does"
expect 0 "$MCFS" -s "$work/kill" init
killkey=$(sed -n 's/^key file //p' "$work/stdout")
for i in $(seq 1 "${MCFS_KILLS:-6}"); do
	"$MCFS" -q -s "$work/kill" key rotate >/dev/null 2>&1 &
	pid=$!
	sleep "0.0$((RANDOM % 10))$((RANDOM % 10))"
	kill -9 "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	expect 0 "$MCFS" -s "$work/kill" list
done
expect 0 "$MCFS" -s "$work/kill" key rotate --drop-others
[ "$(MCFS_STORE=$work/kill slots)" = 1 ] || fail "more than one slot is left"
[ ! -e "$killkey.new" ] || fail "a key file was left beside"
