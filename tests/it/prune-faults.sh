#!/bin/bash
# Pruning, restoring and repacking interrupted: at every call that changes a file (a kill, half a write,
# an error, a full disk), and by kill -9 at random moments. At each instant every region file is valid and
# each chunk in the world or in the trash; recovery and a restore give back the very world. Promise 4.
#
# MCFS_FAULTS: how many places of each operation and kind of fault (4); all: every call. MCFS_KILLS: random kills (20).
# In memory, where there is room: it is about order, not about the disk.
in_memory=yes
. "${0%/*}/lib.sh"
. "${0%/*}/prune-lib.sh"
: "${MCFS_FAULTS_LIB:?faults.so}"
# A sanitized mcfs is slow, and has seen all of it after a few.
kills=${MCFS_KILLS:-$((${MCFS_SANITIZED:-0} ? 5 : 20))}
places=${MCFS_FAULTS:-$((${MCFS_SANITIZED:-0} ? 2 : 4))}
[ "$places" != all ] || places=1000000
seed=${MCFS_KILL_SEED:-$RANDOM}
RANDOM=$seed
echo "seed $seed"

w=$work/w
"$MCFS_DEMO_WORLD" create "$w" --regions 1 --seed 5
region=$(find "$w" -path '*/region/r.*.mca' | sed -n 1p)
[ "$region" ] || fail "the demo world has no region file"
chunks_of "$w" >"$work/want.list"
# Less of it is as good and quicker.
mcc=$(find "$w" -name 'c.*.mcc' -path '*region*' | sed '/DIM/d' | sed -n 1p)
rest=$(grep -E '^(dimensions/minecraft/overworld/)?region ' "$work/want.list" | cut -d' ' -f2 |
	grep -vxF "$(basename "${mcc:-none}" .mcc)" | awk 'NR % 6')
expect 0 "$MCFS" prune --world "$w" $rest
expect 0 "$MCFS" trash empty --all
chunks_of "$w" >"$work/want.list"
# Some chunks, of which some have entities and poi parts; and one with a .mcc, if there is any.
dim=overworld
set_of() { # N: that many chunks of the overworld, one in all folders first
	grep -E '^(dimensions/minecraft/overworld/)?(entities|region) ' "$work/want.list" | cut -d' ' -f2 |
		sort | uniq -c | sort -rn | awk -v n="$1" 'NR <= n {print $2}'
}
few=$(set_of 6)
[ -z "$mcc" ] || few="$few $(basename "$mcc" .mcc)"
many=$(set_of 1000)
few_count=$(echo $few | wc -w)
echo "$few_count chunks, $(wc -l <"$work/want.list") parts in the world${mcc:+, one with a .mcc}"

op_words() { # OP -> command
	case $1 in
	prune) command=(prune --world "$w" --dimension $dim $few) ;;
	all) command=(prune --world "$w" --dimension $dim r.0.0 r.-1.0 r.0.-1 r.-1.-1) ;;
	many) command=(prune --world "$w" --dimension $dim $many) ;;
	restore) command=(trash restore --world "$w" --all) ;;
	replace) command=(trash restore --world "$w" --all --replace) ;;
	repack) command=(prune --world "$w" --repack) ;;
	apply) command=(trash apply --world "$w") ;;
	esac
}

do_op() { # OP, with whatever is in front
	op_words "$1"
	"${front[@]}" "$MCFS" "${command[@]}"
}

# Before OP: the world and the trash as OP wants to find them.
prepare() { # OP
	front=()
	case $1 in
	restore | repack) do_op prune >/dev/null 2>&1 ;;
	apply)
		exec 8<>"$w/session.lock"
		"$MCFS_SERVER_STAND_IN" "$w" <"$work/fifo" >"$work/server.out" &
		server=$!
		exec 9>"$work/fifo"
		until grep -q ready "$work/server.out"; do sleep 0.01; done
		"$MCFS" prune --world "$w" --dimension $dim --when-running defer $few >/dev/null
		exec 9>&- 8>&-
		wait "$server"
		;;
	esac
}
mkfifo "$work/fifo"

# After it: settle, restore all, and the world is what it was.
back() { # WHAT
	front=()
	"$MCFS" trash apply --world "$w" >"$work/stdout" 2>"$work/stderr" || fail "$1: recovery fails: $(cat "$work/stderr")"
	nothing_lost "$work/want.list" "$w" "$1, recovered"
	"$MCFS" trash list --world "$w" >"$work/trash.list"
	[ -z "$(grep -vE '^[0-9]+ +kept ' "$work/trash.list")" ] ||
		fail "$1: recovery left something half done: $(sed 3q "$work/trash.list")"
	if [ -s "$work/trash.list" ]; then
		# In both places, once recovery could not tell: what is there already is no newer one.
		code=0
		do_op restore >"$work/stdout" 2>"$work/stderr" || code=$?
		[ "$code" = 0 ] || [ "$code" = 3 ] || fail "$1: restore fails: $(cat "$work/stderr")"
	fi
	chunks_of "$w" >"$work/now.list"
	equal_lists "$work/want.list" "$work/now.list" "$1: the world is another after recovery and restore"
	[ -z "$(find "$w" -name '*.mcfs-tmp')" ] || fail "$1: temporary files were left"
	"$MCFS" trash list --world "$w" >"$work/trash.list"
	[ ! -s "$work/trash.list" ] || fail "$1: something is left in the trash"
}

count_calls() { # OP
	prepare "$1"
	front=(env "ASAN_OPTIONS=$(asan)" LD_PRELOAD="$MCFS_FAULTS_LIB" MCFS_FAULT_COUNT="$work/count")
	do_op "$1" >"$work/stdout" 2>"$work/stderr" || fail "$1: $(cat "$work/stderr")"
	back "$1 uninterrupted"
	cat "$work/count"
}

all_places=$places
for op in prune restore apply repack; do
	n=$(count_calls $op)
	places=$all_places
	[ "$places" -lt "$n" ] || places=$n
	step=$(((n + places - 1) / places))
	check "$op: $n calls, every ${step}th of them"
	for how in kill torn eio enospc; do
		for at in $(seq $((1 + RANDOM % step)) $step "$n"); do
			prepare $op
			front=(env "ASAN_OPTIONS=$(asan)" LD_PRELOAD="$MCFS_FAULTS_LIB" MCFS_FAULT_AT="$at" MCFS_FAULT_HOW=$how)
			code=0
			do_op $op >"$work/stdout" 2>"$work/stderr" || code=$?
			case $how:$code in
			kill:137 | torn:137 | eio:1 | enospc:1) ;;
			eio:0 | enospc:0) ;; # a hole that was not punched, a file of no account
			*) fail "$op, $how at $at: exit code $code: $(cat "$work/stderr")" ;;
			esac
			nothing_lost "$work/want.list" "$w" "$op, $how at $at"
			back "$op, $how at $at"
		done
	done
done

# One chunk in two versions: the old one comes back over the new one.
start_of() { # NAME: keep what is there under that name
	rm -rf "$work/$1"
	mkdir "$work/$1"
	cp -a "$w" "$work/$1/w"
	cp -a "$MCFS_STATE_DIR" "$work/$1/state"
}
again() { # NAME
	rm -rf "$w" "$MCFS_STATE_DIR"
	cp -a "$work/$1/w" "$w"
	cp -a "$work/$1/state" "$MCFS_STATE_DIR"
}
start_of clean
front=()
chunk=$(awk '$1 == "entities" { print $2 }' "$work/want.list" | sed -n 1p)
chunk=${chunk:-${few%% *}}
file=$(echo "$chunk" | awk -F. '{ printf "r.%d.%d.mca", int($2 < 0 ? ($2 - 31) / 32 : $2 / 32), int($3 < 0 ? ($3 - 31) / 32 : $3 / 32) }')
file=$(find "$w" -path "*/region/$file" -printf '%P\n' | grep -v 'DIM\|nether\|end' | sed -n 1p)
version() { # the chunk's bytes in the world
	chunks_of "$w" | awk -v f="${file%/*}" -v c="$chunk" '$1 == f && $2 == c { print $5 "-" $6 }'
}
old=$(version)
expect 0 "$MCFS" prune --world "$w" "$chunk"
exec 8<>"$w/session.lock"
"$MCFS_SERVER_STAND_IN" "$w" <"$work/fifo" >"$work/server.out" &
server=$!
exec 9>"$work/fifo"
printf 'open %s\nsave %s 9000\nquit\n' "$file" "$(echo "$chunk" | awk -F. '{ print $2, $3 }')" >&9
exec 9>&- 8>&-
wait "$server"
new=$(version)
[ "$new" ] && [ "$new" != "$old" ] || fail "the server did not save the chunk: $(cat "$work/server.out")"
chunks_of "$w" | grep -v " $chunk " >"$work/others.list"
start_of two

both_there() { # WHAT: each version is in the world or in the trash, and the other chunks are untouched
	local seen="" id
	chunks_of "$w" | grep -v " $chunk " >"$work/now.list"
	equal_lists "$work/others.list" "$work/now.list" "$1: another chunk was changed"
	# All that are there now: what the first one replaces comes behind them, or is there already.
	for id in $("$MCFS" trash list --world "$w" "$chunk" | awk '{ print $1 }'); do
		seen="$seen $(version)"
		"$MCFS" trash restore --world "$w" --id "$id" --replace >"$work/stdout" 2>"$work/stderr" ||
			fail "$1: $(cat "$work/stderr")"
	done
	seen="$seen $(version)"
	case "$seen" in *"$old"*) ;; *) fail "$1: the old version is lost" ;; esac
	case "$seen" in *"$new"*) ;; *) fail "$1: the new version is lost" ;; esac
}

front=(env "ASAN_OPTIONS=$(asan)" LD_PRELOAD="$MCFS_FAULTS_LIB" MCFS_FAULT_COUNT="$work/count")
do_op replace >/dev/null
[ "$(version)" = "$old" ] || fail "--replace did not put the old version back"
n=$(cat "$work/count")
places=$all_places
[ "$places" -lt "$n" ] || places=$n
step=$(((n + places - 1) / places))
check "replace: $n calls, every ${step}th of them"
for how in kill torn eio enospc; do
	for at in $(seq $((1 + RANDOM % step)) $step "$n"); do
		again two
		front=(env "ASAN_OPTIONS=$(asan)" LD_PRELOAD="$MCFS_FAULTS_LIB" MCFS_FAULT_AT="$at" MCFS_FAULT_HOW=$how)
		do_op replace >"$work/stdout" 2>"$work/stderr" || true
		chunks_of "$w" | grep " broken$" && fail "replace, $how at $at: a chunk is broken"
		expect 0 "$MCFS" trash apply --world "$w"
		both_there "replace, $how at $at"
	done
done
again clean

check "$kills kills at random moments"
front=()
begin=$(date +%s%N)
do_op many >/dev/null
whole=$((($(date +%s%N) - begin) / 1000000))
back "many"
echo "pruning $(echo $many | wc -w) chunks takes $whole ms"
cut=0
for k in $(seq "$kills"); do
	ops=(many restore repack all)
	op=${ops[k % 4]}
	[ $op = restore ] && { front=(); do_op many >/dev/null; }
	[ $op = repack ] && { front=(); do_op prune >/dev/null; }
	ms=$((RANDOM % (whole + 5)))
	op_words $op
	"$MCFS" "${command[@]}" >/dev/null 2>&1 &
	pid=$!
	sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
	kill -9 "$pid" 2>/dev/null || true
	code=0
	wait "$pid" 2>/dev/null || code=$?
	[ "$code" != 137 ] || cut=$((cut + 1))
	nothing_lost "$work/want.list" "$w" "kill $k: $op after $ms ms"
	back "kill $k: $op after $ms ms"
done
echo "$cut of $kills came in time"
[ "$cut" -gt 0 ] || fail "no kill came in time: nothing was tested"
