# job-lib.sh - what the tests of mcfs-snapshot share, after lib.sh.
: "${MCFS_SNAPSHOT:?the mcfs-snapshot to test}" "${MCFS_RCON_STAND_IN:?}" "${MCFS_HTTP_SINK:?}"

# Wait until a program that we started has written its port.
port_of() { # FILE
	for _ in $(seq 100); do
		[ -s "$1" ] && break
		sleep 0.05
	done
	cat "$1"
}

# The stand-in for a server's console; its commands go to $work/console. Sets rcon_port.
start_console() { # [FLUSH-MS [DROP]]
	[ -p "$work/hold" ] || mkfifo "$work/hold"
	rm -f "$work/console.port"
	: >"$work/console"
	"$MCFS_RCON_STAND_IN" "$work/console.port" "$work/console" secret "$@" <>"$work/hold" &
	console_pid=$!
	rcon_port=$(port_of "$work/console.port")
}

# Requests go to $work/http. Sets http_port.
start_sink() { # [STATUS]
	[ -p "$work/hold" ] || mkfifo "$work/hold"
	rm -f "$work/http.port"
	: >"$work/http"
	"$MCFS_HTTP_SINK" "$work/http.port" "$work/http" "$@" <>"$work/hold" &
	sink_pid=$!
	http_port=$(port_of "$work/http.port")
}

stop() { # PID
	kill "$1" 2>/dev/null || true
	wait "$1" 2>/dev/null || true
}

job() {
	"$MCFS_SNAPSHOT" --config "$work/backup.yaml" "$@"
}

# A world of a few files; its lines of a configuration on standard input come behind the usual ones.
configure() {
	{
		printf 'source_directories: [%s]\nrepositories: [{path: %s, label: local}]\n' "$work/world" "$work/store"
		cat
	} >"$work/backup.yaml"
}

snapshots() {
	"$MCFS" -s "$work/store" list --json | grep -o '"snapshots":.*' | grep -o '"name":"[^"]*"' | wc -l
}
