#!/bin/bash
# The whole stack in containers: the image is built and weighed, docker-compose.yml brings the
# scheduler and the mount up, a third-party server and a player write the world, the schedule takes
# snapshots and prunes, and a file is taken back with cp from the mount.
#
# Only with MCFS_NETWORK=1, as root, where docker can run; a daemon is started when none answers. The
# base image is MCFS_DOCKER_BASE, or pulled, or made with debootstrap (once; it stays with the daemon
# or as MCFS_DOCKER_ROOTFS).
. "${0%/*}/lib.sh"
here=$(cd "${0%/*}" && pwd)
[ "${MCFS_NETWORK:-}" = 1 ] || skip "needs a network and docker: set MCFS_NETWORK=1"
is_root || skip "needs root"
command -v docker >/dev/null || skip "no docker here"
[ -c /dev/fuse ] || skip "no /dev/fuse here"
if docker compose version >/dev/null 2>&1; then
	compose=(docker compose)
elif command -v docker-compose >/dev/null; then
	compose=(docker-compose)
else
	skip "no docker compose here"
fi
modules=${MCFS_NODE_MODULES:-/tmp/mcfs-test-node}

stack=$work/stack
daemon='' bound=''
stop_stack() {
	[ ! -d "$stack" ] || (cd "$stack" && "${compose[@]}" -p mcfstest --profile mount down -v -t 20) >/dev/null 2>&1 || true
	[ -z "$bound" ] || umount -l "$stack/mnt" 2>/dev/null || true
	[ -z "$bound" ] || umount -l "$stack/mnt" 2>/dev/null || true
	if [ "$daemon" ]; then
		kill "$daemon" 2>/dev/null || true
		wait "$daemon" 2>/dev/null || true
	fi
}
trap 'code=$?; stop_stack; (exit $code); at_end' EXIT

check "a docker daemon"
if ! timeout 20 docker info >"$work/info" 2>&1; then
	command -v dockerd >/dev/null || skip "no docker daemon answers, and there is no dockerd here"
	export DOCKER_HOST=unix://$work/docker.sock
	dockerd --data-root "$work/docker" --exec-root "$work/exec" -p "$work/docker.pid" -H "$DOCKER_HOST" >"$work/dockerd" 2>&1 &
	daemon=$!
	for _ in $(seq 60); do
		docker info >/dev/null 2>&1 && break
		kill -0 "$daemon" 2>/dev/null || skip "dockerd does not run here: $(tail -n 1 "$work/dockerd")"
		sleep 0.5
	done
	docker info >/dev/null 2>&1 || skip "dockerd does not answer in half a minute"
fi

check "a base image"
base=${MCFS_DOCKER_BASE:-debian:bookworm-slim}
if ! docker image inspect "$base" >/dev/null 2>&1 && ! timeout 60 docker pull "$base" >/dev/null 2>&1; then
	base=mcfs-test-base
	if ! docker image inspect "$base" >/dev/null 2>&1; then
		root=${MCFS_DOCKER_ROOTFS:-$work/rootfs}
		if [ ! -d "$root/etc" ]; then
			command -v debootstrap >/dev/null || skip "no image can be pulled, and there is no debootstrap here"
			debootstrap --variant=minbase bookworm "$root" >"$work/debootstrap" 2>&1 ||
				skip "debootstrap cannot make a base: $(tail -n 1 "$work/debootstrap")"
		fi
		tar -C "$root" -c --exclude=./var/cache/apt/archives/*.deb . | docker import - "$base" >/dev/null
	fi
fi
echo "	$base"

check "the image"
DOCKER_BUILDKIT=0 docker build -q -f "$MCFS_SOURCE_ROOT/docker/Dockerfile" --build-arg BASE="$base" \
	-t mcfs "$MCFS_SOURCE_ROOT" >"$work/build" 2>&1 || { tail -n 30 "$work/build" >&2; fail "the image cannot be built"; }
size=$(docker image inspect -f '{{.Size}}' mcfs)
echo "	$((size / 1000000)) MB"
[ "$size" -lt 120000000 ] || fail "the image has $size bytes"
expect 0 docker run --rm mcfs mcfs --version
expect 0 docker run --rm mcfs id -u
[ "$(cat "$work/stdout")" = 1000 ] || fail "the image runs as $(cat "$work/stdout")"
expect 0 docker run --rm mcfs mcfs-scheduler validate
[ ! -s "$work/stderr" ] || fail "the image's own schedule: $(cat "$work/stderr")"

check "a server and a player"
mkdir "$stack"
cp -r "$MCFS_SOURCE_ROOT/docker/." "$stack/"
mkdir -p "$stack"/{data/{world,config,mods,logs},store,mnt,secrets}
echo 'correct horse' >"$stack/secrets/mcfs_passphrase"
echo none >"$stack/secrets/rcon_password"
echo 'kept as it is' >"$stack/data/config/mod.toml"
# Nobody is asked for a console here; snapshots every few seconds.
sed -i '/^# The server stops/,$d' "$stack/config/backup.yaml"
cat >"$stack/config/schedule.ini" <<'END'
[global]
status-port = 9464
[job-local "snapshot"]
schedule = */10 * * * * *
command = mcfs-snapshot --init --config /etc/mcfs/backup.yaml
world = survival
[job-local "prune"]
depends-on = snapshot
command = mcfs prune --world /data/world --rules /etc/mcfs/prune.yaml
world = survival
[job-local "prune-old"]
depends-on = snapshot
command = mcfs prune --world /data/old --rules /etc/mcfs/old.yaml
world = old
END
# A second world that nobody plays, of which nearly everything may go.
expect 0 "$MCFS_DEMO_WORLD" create "$stack/data/old" --regions 1
cat >"$stack/config/old.yaml" <<'END'
delete_chunks:
    - last_updated: "1 second"
      inhabited_time: "2 hours"
protect: {players: false, spawn: false, neighbours: 0}
max_fraction: 100%
END
cat >"$stack/docker-compose.override.yml" <<'END'
version: "3.8"
services:
  mcfs:
    volumes:
      - ./data/old:/data/old
END
chown -R 1000:1000 "$stack/data" "$stack/store" "$stack/secrets"
server=''
if command -v node >/dev/null && { [ -d "$modules/node_modules/flying-squid" ] ||
	{ mkdir -p "$modules" && (cd "$modules" && timeout 300 npm install --no-audit --no-fund flying-squid mineflayer >"$work/npm" 2>&1); }; }; then
	export NODE_PATH=$modules/node_modules
	port=$((20000 + $$ % 10000))
	node "$here/live-server/server.js" "$stack/data/world" "$port" >"$work/server" 2>&1 &
	server=$!
	for _ in $(seq 60); do
		! grep -q 'listening on port' "$work/server" || break
		sleep 1
	done
	timeout 60 node "$here/live-server/bot.js" "$port" 40 >"$work/bot" 2>&1 &
	for _ in $(seq 40); do
		[ -z "$(find "$stack/data/world" -name "*.mca" -size +8k 2>/dev/null)" ] || break
		sleep 1
	done
	echo "	flying-squid and mineflayer: $(find "$stack/data/world/region" -name '*.mca' | wc -l) region files"
else
	echo "	no Node.js: a demo world instead"
	expect 0 "$MCFS_DEMO_WORLD" create "$stack/data/world"
fi
# It runs as root here; in the stack everything is of one user.
while sleep 1; do chown -R 1000:1000 "$stack/data/world" 2>/dev/null || true; done &
owner=$!

check "docker compose up"
mount --bind "$stack/mnt" "$stack/mnt"
mount --make-rshared "$stack/mnt"
bound=yes
up() { # SERVICE..
	(cd "$stack" && "${compose[@]}" -p mcfstest --profile mount up -d --no-build --no-deps "$@") >"$work/up" 2>&1 ||
		{ cat "$work/up" >&2; fail "docker compose up $*"; }
}
container() { # SERVICE
	docker ps -aq --filter label=com.docker.compose.project=mcfstest --filter "label=com.docker.compose.service=$1"
}
up mcfs
mcfs=$(container mcfs)
for _ in $(seq 60); do
	docker logs "$mcfs" >"$work/log" 2>&1
	[ "$(grep -c '"prune"\] finished ok' "$work/log")" -lt 2 ] || break
	sleep 1
done
grep -E 'ERROR|finished ok' "$work/log" | tail -n 6 | sed 's/^/	/'
[ "$(grep -c '"snapshot"\] finished ok' "$work/log")" -ge 2 ] || { tail -n 30 "$work/log" >&2; fail "no two snapshots in a minute"; }
[ "$(grep -c '"prune"\] finished ok' "$work/log")" -ge 2 ] || { tail -n 30 "$work/log" >&2; fail "nothing was pruned by the schedule"; }

[ "$(grep -c '"prune-old"\] finished ok' "$work/log")" -ge 1 ] || { tail -n 30 "$work/log" >&2; fail "the old world was not pruned"; }
grep -E '"prune-old"\] \| .*pruned [1-9]' "$work/log" | head -n 3 | sed 's/^/	/'
expect 0 docker exec "$mcfs" mcfs trash list --world /data/old
[ -s "$work/stdout" ] || fail "nothing is in the trash"
echo "	$(wc -l <"$work/stdout") chunks in the trash"

check "the mount, and cp"
up mount
mount=$(container mount)
for _ in $(seq 60); do
	[ ! -d "$stack/mnt/snapshots/latest/" ] || break
	sleep 1
done
[ -d "$stack/mnt/snapshots/latest/" ] || { docker logs "$mount" >&2; fail "the mount is not seen from outside of its container"; }
cp "$stack/mnt/snapshots/latest/config/mod.toml" "$work/mod.toml"
cmp "$stack/data/config/mod.toml" "$work/mod.toml" || fail "cp from the mount"
expect 0 docker exec "$mcfs" mcfs list
echo "	$(wc -l <"$work/stdout") snapshots"
docker exec "$mount" cp -a /mnt/mcfs/snapshots/latest/world /tmp/world
docker exec "$mount" test -e /tmp/world/level.dat || fail "cp in the mount's container"
find "$stack/mnt/snapshots/latest/world/region" -name '*.mca' | sed -n 1p >"$work/region"
cp "$(cat "$work/region")" "$work/r.mca"
[ -s "$work/r.mca" ] || fail "no region file comes from the mount"

check "health, memory, the end"
for _ in $(seq 40); do
	[ "$(docker inspect -f '{{.State.Health.Status}}' "$mcfs")" != healthy ] || break
	sleep 1
done
[ "$(docker inspect -f '{{.State.Health.Status}}' "$mcfs")" = healthy ] || fail "the container does not become healthy"
docker exec "$mcfs" sh -c 'grep VmRSS /proc/1/status' | sed 's/^/	scheduler: /'
docker stop -t 30 "$mcfs" >/dev/null
[ "$(docker inspect -f '{{.State.ExitCode}}' "$mcfs")" = 0 ] || fail "the scheduler does not end well"
kill "$owner"
wait "$owner" 2>/dev/null || true
[ -z "$server" ] || kill "$server" 2>/dev/null || true
