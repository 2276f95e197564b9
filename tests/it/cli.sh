#!/bin/bash
# The command line is a contract: help, exit codes, JSON fields, names of sources, excludes, tags.
. "${0%/*}/lib.sh"
export MCFS_STORE=$work/store

valid_json() { # each line of standard output is an object
	[ -s "$work/stdout" ] || fail "no JSON came out"
	if command -v python3 >/dev/null; then
		python3 -c 'import json, sys
for line in sys.stdin: assert isinstance(json.loads(line), dict)' <"$work/stdout" ||
			fail "this is no JSON: $(head -c 300 "$work/stdout")"
	elif command -v jq >/dev/null; then
		jq -e type "$work/stdout" >/dev/null || fail "this is no JSON"
	fi
}

has_fields() { # FIELD..
	for field; do
		grep -q "\"$field\":" "$work/stdout" || fail "no field '$field' in: $(head -c 600 "$work/stdout")"
	done
}

names() { # what is in the root of the newest snapshot
	"$MCFS" ls latest | tr '\n' ' '
}

tree_is() { # EXPECTED LISTING
	local got
	got=$("$MCFS" ls -R latest | tr '\n' ' ')
	[ "$got" = "$1" ] || fail "the snapshot holds '$got' instead of '$1'"
}

check "help"
expect 0 "$MCFS" --help
says '^usage: mcfs \[-s STORE\] \[--json\] \[-q\|-v\] COMMAND'
commands=$(sed -nE '/^  [a-z]+ /s/^  ([a-z]+) .*/\1/p' "$work/stdout")
for command in init snapshot list info ls cat find diff tag restore export check; do
	grep -qx "$command" <<<"$commands" || fail "'$command' is not in the help"
	expect 0 "$MCFS" "$command" --help
	says "^usage: mcfs .*$command"
	[ ! -s "$work/stderr" ] || fail "help on standard error"
	cp "$work/stdout" "$work/help"
	expect 0 "$MCFS" help "$command"
	cmp -s "$work/help" "$work/stdout" || fail "'help $command' and '$command --help' differ"
done
expect 0 "$MCFS" --version
says '^mcfs [0-9]+\.[0-9]+'

check "misuse: exit code 2, one line, nothing done"
mkdir "$work/src"
echo 1 >"$work/src/file"
misuse() {
	expect 2 "$MCFS" "$@"
	[ -s "$work/stderr" ] || fail "no message: mcfs $*"
}
misuse
misuse nonsense
one_clear_line
misuse --nonsense
misuse --store
one_clear_line
for words in 'ls --nonsense' 'ls -x' 'restore -nx latest' 'restore --to' 'restore --delete=3' 'forget --keep-daily' 'forget --keep 3' \
	'forget --keep-m 3' 'trash list --nonsense' 'map -w' 'mount -o'; do
	misuse $words
	one_clear_line
	says "option '-.*see 'mcfs ${words%% *} --help'"
done
expect 2 "$MCFS" forget --keep-daily
says "'--keep-daily' needs a value"
misuse init --slack perhaps
misuse init --recompress never
one_clear_line
misuse init a b
misuse snapshot
one_clear_line
misuse snapshot --nonsense "$work/src"
misuse snapshot --tag 'no spaces' "$work/src"
misuse snapshot --tag '' "$work/src"
misuse snapshot --level 0 "$work/src"
misuse snapshot --exclude '' "$work/src"
misuse list extra
misuse info a b
misuse ls
misuse ls a b
misuse ls -x latest
misuse cat latest
misuse find
misuse restore latest
one_clear_line
misuse restore --to "$work/x"
misuse restore latest --to "$work/x" --overwrite sometimes
misuse tag latest
misuse diff latest
misuse diff a b c
misuse check --read-data-subset 101%
misuse check extra
MCFS_STORE='' misuse list
one_clear_line
[ ! -e "$work/store" ] || fail "something was made"

check "init and an empty store"
expect 0 "$MCFS" --json init
valid_json
has_fields type id store slack recompress key_file
expect 0 "$MCFS" --json list
[ "$(cat "$work/stdout")" = '{"type":"summary","snapshots":[]}' ] || fail "$(cat "$work/stdout")"
expect 1 "$MCFS" info latest
one_clear_line
expect 1 "$MCFS" ls latest
expect 1 "$MCFS" restore latest --to "$work/got"
expect 0 "$MCFS" info

check "snapshot --dry-run changes nothing"
before=$(cd "$work/store" && find . -type f -printf '%P %s\n' | sort)
expect 0 "$MCFS" --json snapshot --dry-run "$work/src"
valid_json
[ "$(cd "$work/store" && find . -type f -printf '%P %s\n' | sort)" = "$before" ] || fail "the store changed"
[ "$("$MCFS" list | wc -l)" = 0 ] || fail "there is a snapshot"

check "snapshot, list, info as JSON"
echo zwei >"$work/src/größe"
expect 0 "$MCFS" --json snapshot --tag one --tag two:2 "$work/src"
valid_json
[ "$(json type)" = summary ] && [ "$(json exit_code)" = 0 ] || fail "the last line is no summary"
has_fields snapshot files bytes added_bytes problems seconds
expect 0 "$MCFS" --json list
valid_json
has_fields snapshots name id time host sources tags files bytes added_bytes
name=$(sed -nE 's/.*"name":"([^"]*)".*/\1/p' "$work/stdout")
id=$(sed -nE 's/.*"id":"([^"]*)".*/\1/p' "$work/stdout")
grep -qE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}Z$' <<<"$name" || fail "a strange name: $name"
grep -q '"tags":\["one","two:2"\]' "$work/stdout" || fail "tags: $(cat "$work/stdout")"
grep -qF "\"sources\":[\"$work/src\"]" "$work/stdout" || fail "sources: $(cat "$work/stdout")"
for snap in latest "$name" "$id" "${id:0:8}"; do
	expect 0 "$MCFS" --json info "$snap"
	valid_json
	[ "$(json id)" = "$id" ] || fail "'$snap' is not $id"
done
expect 1 "$MCFS" info "${id:0:3}"
expect 1 "$MCFS" info 0000000000000000
one_clear_line
expect 0 "$MCFS" --json info
valid_json
has_fields id created slack recompress snapshots packs pack_bytes blobs

misuse snapshot ''
misuse snapshot --recompress never .
misuse tag latest nonsense
misuse tag latest '+two words'
misuse tag latest '+'
one_clear_line

check "ls, cat, find"
expect 0 "$MCFS" ls latest
[ "$(cat "$work/stdout")" = src/ ] || fail "$(cat "$work/stdout")"
tree_is 'src/ src/file src/größe '
expect 0 "$MCFS" ls -l latest:src
says '^-rw-r--r-- .* 2 .* file$'
expect 0 "$MCFS" --json ls -R latest
valid_json
has_fields snapshot entries path type size mtime mode uid gid
expect 0 "$MCFS" cat latest:src/file
[ "$(cat "$work/stdout")" = 1 ] || fail "cat gives '$(cat "$work/stdout")'"
expect 2 "$MCFS" cat latest:src
expect 1 "$MCFS" cat latest:src/nothing
one_clear_line
expect 1 "$MCFS" ls latest:src/file/below
expect 0 "$MCFS" find 'fil*'
says 'src/file$'
expect 0 "$MCFS" --json find '*/gr*'
valid_json
has_fields found path snapshot
expect 1 "$MCFS" find 'no*such'

check "cat of a large file through a pipe that closes early does not hang"
head -c 3000000 /dev/urandom >"$work/src/large"
expect 0 "$MCFS" snapshot "$work/src"
"$MCFS" cat latest:src/large | cmp - "$work/src/large" || fail "cat is not what went in"
"$MCFS" cat latest:src/large 2>/dev/null | head -c 10 >/dev/null || true

check "tags"
expect 0 "$MCFS" tag latest +keep +x.y
expect 0 "$MCFS" tag latest -x.y +keep +other
expect 0 "$MCFS" --json info latest
grep -q '"tags":\["keep","other"\]' "$work/stdout" || fail "$(cat "$work/stdout")"
expect 0 "$MCFS" tag latest -keep -other -never-had
expect 0 "$MCFS" --json info latest
grep -q '"tags":\[\]' "$work/stdout" || fail "$(cat "$work/stdout")"
expect 0 "$MCFS" restore latest --to "$work/after-tag"
same "$work/src" "$work/after-tag/src"

check "names of snapshots in the same second"
expect 0 "$MCFS" snapshot "$work/src"
expect 0 "$MCFS" snapshot "$work/src"
expect 0 "$MCFS" snapshot "$work/src"
[ "$("$MCFS" list | cut -d' ' -f1 | sort | uniq -d | wc -l)" = 0 ] || fail "two have one name"

check "names of sources"
mkdir -p "$work"/n/{a,b}/{world,other} "$work/n/a/x/world"
for d in "$work"/n/{a,b}/{world,other} "$work/n/a/x/world"; do
	echo "$d" >"$d/file"
done
sources() { # EXPECTED SOURCE..
	local want=$1
	shift
	expect 0 "$MCFS" snapshot "$@"
	tree_is "$want"
}
sources 'world/ world/file ' "$work/n/a/world"
sources 'world/ world/file ' "$work/n/a/world/" "$work/n/a/./world" "$work/n/a/../a/world"
sources 'other/ other/file world/ world/file ' "$work/n/a/world" "$work/n/b/other"
sources 'a/ a/world/ a/world/file b/ b/world/ b/world/file ' "$work/n/b/world" "$work/n/a/world"
sources 'a/ a/world/ a/world/file x/ x/world/ x/world/file ' "$work/n/a/world" "$work/n/a/x/world"
sources 'file ' "$work/n/a/world/file"
(cd "$work/n/a" && expect 0 "$MCFS" snapshot world . && tree_is \
	'a/ a/other/ a/other/file a/world/ a/world/file a/x/ a/x/world/ a/x/world/file world/ world/file ')
ln -s a/world "$work/n/link"
sources 'link/ link/file ' "$work/n/link"

check "excludes"
mkdir -p "$work"/e/{logs/old,cache,plugins/dynmap/tiles,.hidden}
touch "$work"/e/{a.txt,a.tmp,session.lock} "$work"/e/logs/{1.log,old/2.log} "$work"/e/plugins/dynmap/{config,tiles/1.png}
printf 'Signature: 8a477f597d28d172789f06886806bc55\n# more\n' >"$work/e/cache/CACHEDIR.TAG"
touch "$work/e/cache/big"
excludes() { # EXPECTED OPTION..
	local want=$1
	shift
	expect 0 "$MCFS" snapshot "$@" "$work/e"
	tree_is "$want"
}
rest='e/ e/.hidden/ e/a.txt'
excludes "$rest e/cache/ e/cache/CACHEDIR.TAG e/cache/big e/plugins/ e/plugins/dynmap/ e/plugins/dynmap/config e/session.lock " \
	--exclude '*.tmp' --exclude logs --exclude 'dynmap/tiles'
excludes "$rest e/cache/ e/plugins/ " --exclude-caches --exclude '*.tmp' --exclude logs/ \
	--exclude session.lock --exclude '*/plugins/*'
printf '# a comment\n\n*.tmp\r\nlogs\n%s/e/plugins\nsession.lock' "$work" >"$work/patterns"
excludes "$rest e/cache/ " --exclude-file "$work/patterns" --exclude-caches
expect 1 "$MCFS" snapshot --exclude-file "$work/no-such-file" "$work/e"
one_clear_line

check "-q is quiet, -v says more"
expect 0 "$MCFS" -q snapshot "$work/src"
[ ! -s "$work/stdout" ] && [ ! -s "$work/stderr" ] || fail "-q says something"
expect 0 "$MCFS" -v snapshot "$work/src"

check "--json on every command is JSON and nothing else"
for command in list info 'info latest' 'ls latest' 'find file' 'tag latest +j' 'snapshot '"$work/src" \
	"restore latest --to $work/json-out" "restore latest --dry-run --to $work/json-out" check \
	'check --read-data' "diff latest latest" 'diff --chunks latest latest'; do
	# shellcheck disable=SC2086
	expect 0 "$MCFS" --json $command
	valid_json
	[ ! -s "$work/stderr" ] || fail "--json $command: also $(cat "$work/stderr")"
done
expect 1 "$MCFS" --json info nothing
valid_json
[ "$(json exit_code)" = 1 ] || fail "the failure's object has no exit code"

check "a store that lies in what is backed up is left out, and stays when that is restored"
mkdir -p "$work/in/world/backup"
echo 1 >"$work/in/world/level.dat"
expect 0 "$MCFS" -s "$work/in/world/backup/mc" init
expect 0 "$MCFS" -s "$work/in/world/backup/mc" -v snapshot "$work/in/world"
says "world/backup/mc' is left out: it is this store"
expect 0 "$MCFS" -s "$work/in/world/backup/mc" ls -R latest
[ "$(tr '\n' ' ' <"$work/stdout")" = 'world/ world/backup/ world/backup/mc/ world/level.dat ' ] ||
	fail "the snapshot holds: $(cat "$work/stdout")"
expect 0 "$MCFS" -s "$work/in/world/backup/mc" restore latest:world/ --to "$work/in/world" --delete
expect 0 "$MCFS" -s "$work/in/world/backup/mc" check

check "a snapshot of many sources takes one line in the list"
mkdir "$work/many"
for i in $(seq 20); do echo "$i" >"$work/many/$i"; done
expect 0 "$MCFS" snapshot "$work"/many/*
expect 0 "$MCFS" list
says '/many/1, .*/many/10, .*/many/11 and 17 more$'
expect 0 "$MCFS" info latest
[ "$(grep -c "many/" "$work/stdout")" = 20 ] || fail "info does not name all"

check "nothing where there should be a sink"
if [ -e /dev/full ]; then
	for command in list 'ls -R latest' 'cat latest:src/large'; do
		# shellcheck disable=SC2086
		if "$MCFS" $command >/dev/full 2>/dev/null; then
			fail "'$command' to a full device was no failure"
		fi
	done
fi
