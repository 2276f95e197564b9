#!/bin/bash
# The shells offer what the programs have: every command, and every option of each.
. "${0%/*}/lib.sh"
: "${MCFS_SCHEDULER:?the mcfs-scheduler to test}"
dir=$MCFS_SOURCE_ROOT/tools/completion
mkdir "$work/bin"
ln -s "$MCFS" "$work/bin/mcfs"
ln -s "$MCFS_SCHEDULER" "$work/bin/mcfs-scheduler"
export PATH=$work/bin:$PATH

# What bash offers for a line that ends here, into $work/offers.
offers() { # WORD..
	bash --norc -c '. "$0/mcfs.bash"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mcfs
		printf "%s\n" "${COMPREPLY[@]}"' "$dir" "$@" >"$work/offers"
}

offers_line() { # WANT WORD..
	offers "${@:2}"
	grep -qx -e "$1" "$work/offers" || { head -n 40 "$work/offers" >&2; fail "'${*:2}': '$1' is not offered"; }
}

check "bash: every command of the table"
for program in mcfs mcfs-scheduler; do
	n=0
	while read -r name; do
		offers_line "$name" "$program" "${name:0:1}"
		n=$((n + 1))
	done < <("$program" --help | sed -nE '/^usage/,/^  -/s/^  ([a-z]+) .*/\1/p')
	[ "$n" -ge 6 ] || fail "$program: only $n commands were found"
done
offers_line list mcfs -s /x li # the value of an option is no command

check "bash: every long option of every command"
for name in $(mcfs --help | sed -nE '/^usage/,/^  -/s/^  ([a-z]+) .*/\1/p'); do
	offers mcfs "$name" --
	for option in $(mcfs "$name" --help | grep -oE -e '--[a-z][a-z-]+' | sort -u); do
		grep -qx -e "$option" "$work/offers" || fail "mcfs $name: '$option' is not offered"
	done
done
offers_line --overwrite mcfs restore --ov
offers_line --config mcfs-scheduler --

check "bash: names of snapshots and jobs"
printf '[job-local "a-job"]\nschedule = @daily\ncommand = true\n' >"$work/schedule.ini"
export MCFS_SCHEDULE=$work/schedule.ini
offers_line a-job mcfs-scheduler run ''
export MCFS_STORE=$work/store
mkdir "$work/src"
expect 0 mcfs init
expect 0 mcfs snapshot "$work/src"
name=$(mcfs list | awk '{print $1}')
offers_line "$name" mcfs restore ''

check "zsh and fish"
if command -v zsh >/dev/null; then
	zsh -n "$dir/_mcfs" || fail "zsh cannot read its file"
else
	echo "	no zsh here"
fi
if command -v fish >/dev/null; then
	fish --no-config -c "source $dir/mcfs.fish; complete -C 'mcfs rest'" >"$work/fish"
	grep -q '^restore' "$work/fish" || fail "fish does not offer 'restore'"
	fish --no-config -c "source $dir/mcfs.fish; complete -C 'mcfs restore --ov'" >"$work/fish"
	grep -q '^--overwrite' "$work/fish" || fail "fish does not offer '--overwrite'"
	fish --no-config -c "source $dir/mcfs.fish; complete -C 'mcfs-scheduler run a'" >"$work/fish"
	grep -q '^a-job' "$work/fish" || fail "fish does not offer the job"
else
	echo "	no fish here"
fi
