# bash completion for mcfs, mcfs-scheduler and mcfs-snapshot.
#
# Commands and options are read from what --help prints, so that they are those of the program that is
# installed: there is no list here that could fall behind.

# The first words of the lines of a help's table of commands.
_mcfs_commands() { # PROGRAM
	"$1" --help 2>/dev/null | sed -nE 's/^  ([a-z][a-z-]*)( .*)?$/\1/p'
}

# Every option that a help names.
_mcfs_options() { # PROGRAM [COMMAND]
	"$@" --help 2>/dev/null | grep -oE '(^|[ ,[])--?[a-zA-Z][a-zA-Z-]*' | tr -d ' ,[' | sort -u
}

_mcfs_snapshots() { # PROGRAM
	timeout 3 "$1" --json list 2>/dev/null </dev/null | grep -oE '"name":"[^"]*"' | cut -d'"' -f4
	echo latest
}

_mcfs_jobs() { # PROGRAM
	timeout 3 "$1" --json list 2>/dev/null </dev/null | grep -oE '\{"name":"[^"]*"' | cut -d'"' -f4
}

# The command among the words, in REPLY; options of one word are jumped over, -s and --store, -c and
# --config and -n with their value.
_mcfs_find_command() {
	local i
	REPLY=
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-s | --store | -c | --config | -n | --count | --now | --until | --scale) i=$((i + 1)) ;;
		-*) ;;
		*)
			REPLY=${COMP_WORDS[i]}
			return
			;;
		esac
	done
}

_mcfs() {
	local program=${COMP_WORDS[0]} cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words=
	local command
	_mcfs_find_command
	command=$REPLY
	case $prev in
	-s | --store | -c | --config | --to)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	esac
	case ${program##*/} in
	mcfs)
		if [[ $cur == -* ]]; then
			words="$(_mcfs_options "$program") $([ -z "$command" ] || _mcfs_options "$program" "$command")"
		elif [ -z "$command" ]; then
			words=$(_mcfs_commands "$program")
		else
			case $command in
			restore | ls | cat | find | diff | tag | export | info | forget) words=$(_mcfs_snapshots "$program") ;;
			help) words=$(_mcfs_commands "$program") ;;
			esac
		fi
		;;
	mcfs-scheduler)
		if [[ $cur == -* ]]; then
			words=$(_mcfs_options "$program")
		elif [ -z "$command" ]; then
			words=$(_mcfs_commands "$program")
		elif [ "$command" = run ] || [ "$command" = history ]; then
			words=$(_mcfs_jobs "$program")
		fi
		;;
	*)
		[[ $cur != -* ]] || words=$(_mcfs_options "$program")
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	[ ${#COMPREPLY[@]} != 0 ] || mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}

complete -o filenames -F _mcfs mcfs mcfs-scheduler mcfs-snapshot
