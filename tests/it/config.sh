#!/bin/bash
# mcfs config, and the files that people have: they load as they are, and a run of them does what they say.
. "${0%/*}/lib.sh"
. "${0%/*}/job-lib.sh"
examples=$MCFS_SOURCE_ROOT/tests/examples

check "validate: remarks with lines, variables named, errors with lines"
expect 0 "$MCFS" config validate "$examples/borgmatic-config.yaml"
says 'borgmatic-config.yaml:7: CF_SLUG: this variable is not set'
says 'valid: 3 sources, 1 repository'
CF_SLUG=pack expect 0 "$MCFS" config validate -q "$examples/borgmatic-config.yaml"
[ ! -s "$work/stdout" ] || fail "something is said about a file that is right"
expect 0 "$MCFS" config validate "$examples/borgmatic-config-sections.yaml"
says ':11: NOT DONE: repositories: .ssh://user@remote/./backups. is on another machine'
says ':17: archive_name_format: .* tag .minecraft.'
says ':30: YAML: the colon in this command needs quotes'
expect 0 "$MCFS" config validate --json "$examples/borgmatic-config-sections.yaml"
[ "$(json not_done)" = 1 ] || fail "no count of what is not done"
printf 'source_directories: [/w]\nrepositories: [/r]\nkeep_dayly: 2\n' >"$work/bad.yaml"
expect 2 "$MCFS" config validate "$work/bad.yaml"
one_clear_line
says "bad.yaml:3: unknown key 'keep_dayly'; did you mean 'keep_daily'"
expect 1 "$MCFS" config validate "$work/nothing"
expect 2 "$MCFS" config validate
expect 2 "$MCFS" config frobnicate

check "validate: rules for pruning as well"
expect 0 "$MCFS" config validate "$examples/mcaselector-options.yaml"
says 'valid: rules'
printf 'delete_chunks: [{last_updated: never}]\n' >"$work/prune.yaml"
expect 2 "$MCFS" config validate "$work/prune.yaml"
one_clear_line

check "show: what it amounts to, which is a configuration again; no secrets"
printf 'source_directories: [/w]\nrepositories: [/r]\nencryption_passphrase: geheim\nslack: https://hooks/geheim\nrcon: {password: geheim}\n' \
	>"$work/secret.yaml"
expect 0 "$MCFS" config show "$work/secret.yaml"
! grep -q geheim "$work/stdout" || fail "a secret is shown"
for f in borgmatic-config borgmatic-config-sections; do
	CF_SLUG=pack expect 0 "$MCFS" config show "$examples/$f.yaml"
	cp "$work/stdout" "$work/shown.yaml"
	expect 0 "$MCFS" config show "$work/shown.yaml"
	diff "$work/shown.yaml" "$work/stdout" >&2 || fail "what is shown of $f is not what it says"
	CF_SLUG=pack expect 0 "$MCFS" config show --json "$examples/$f.yaml"
done

check "import: the files with remarks, which load as before"
mkdir "$work/borgmatic.d" "$work/to"
cp "$examples"/borgmatic-*.yaml "$work/borgmatic.d"
expect 0 "$MCFS" config import --to "$work/to" "$work/borgmatic.d"
[ "$(ls "$work/to" | wc -l)" = 2 ] || fail "not both were imported"
grep -q '# mcfs: NOT DONE: repositories' "$work/to/borgmatic-config-sections.yaml" || fail "no remark"
for f in borgmatic-config borgmatic-config-sections; do
	CF_SLUG=pack expect 0 "$MCFS" config show "$examples/$f.yaml"
	cp "$work/stdout" "$work/shown"
	CF_SLUG=pack expect 0 "$MCFS" config show "$work/to/$f.yaml"
	cmp -s "$work/shown" "$work/stdout" || fail "$f means something else after the import"
done
expect 1 "$MCFS" config import --to "$work/to" "$work/borgmatic.d" # nothing is replaced
expect 1 "$MCFS" config import "$work/nothing.d/x"
HOME=$work/to expect 1 "$MCFS" config import

check "the files as they are, run: sources and repositories where they say"
if [ "$(id -u)" != 0 ] || ! unshare -m true 2>/dev/null; then
	echo "skipped: no mount namespace here"
	exit 0
fi
cat >"$work/inside" <<'END'
set -e
mount -t tmpfs none /mnt
mkdir -p /mnt/source/{world,config,mods,logs,server} /mnt/borg-repository
echo w >/mnt/source/world/level.dat
echo d >/mnt/source/world/DistantHorizons.sqlite-shm
echo t >/mnt/source/config/x.tmp
echo s >/mnt/source/server/server.properties
export CF_SLUG=pack
code=0
"$MCFS_SNAPSHOT" -c "$1/borgmatic-config.yaml" --init || code=$?
[ $code = 0 ] || exit 11
"$MCFS" -s /mnt/borg-repository/pack list
"$MCFS" -s /mnt/borg-repository/pack ls latest:world
"$MCFS" -s /mnt/borg-repository/pack find DistantHorizons.sqlite-shm && exit 12
rm -rf /mnt/borg-repository/pack
code=0
"$MCFS_SNAPSHOT" -c "$1/borgmatic-config-sections.yaml" --init || code=$?
[ $code = 3 ] || exit 13
"$MCFS" -s /mnt/borg-repository list --json | grep -q '"minecraft"' || exit 14
"$MCFS" -s /mnt/borg-repository find x.tmp && exit 15
exit 0
END
expect 0 unshare -m bash "$work/inside" "$examples"
says 'starting'
says 'level.dat'
