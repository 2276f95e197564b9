# fish completion. Commands and options are read from what --help prints (see mcfs.bash).

function __mcfs_command # the command on the line so far
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
        else if contains -- $word -s --store -c --config -n --count --now --until --scale
            set skip 1
        else if not string match -q -- '-*' $word
            echo $word
            return 0
        end
    end
    return 1
end

function __mcfs_commands # name and summary
    set -l program (commandline -opc)[1]
    $program --help 2>/dev/null | string replace -rf '^  ([a-z][a-z-]*)(?: .*?)?  +(.*)$' '$1\t$2'
end

function __mcfs_options
    set -l program (commandline -opc)[1]
    set -l command (__mcfs_command)
    begin
        $program --help 2>/dev/null
        if test -n "$command" -a (basename $program) = mcfs
            $program $command --help 2>/dev/null
        end
    end | grep -oE '(^|[ ,[])--?[a-zA-Z][a-zA-Z-]*' | tr -d ' ,[' | sort -u
end

function __mcfs_names
    set -l program (commandline -opc)[1]
    timeout 3 $program --json list 2>/dev/null </dev/null | grep -oE '"name":"[^"]*"' | cut -d'"' -f4
end

for program in mcfs mcfs-scheduler
    complete -c $program -n 'not __mcfs_command >/dev/null' -f -a '(__mcfs_commands)'
end
for program in mcfs mcfs-scheduler mcfs-snapshot
    complete -c $program -n 'string match -q -- "-*" (commandline -ct)' -f -a '(__mcfs_options)'
end
complete -c mcfs -n 'contains -- (__mcfs_command) restore ls cat find diff tag export info forget' -a 'latest (__mcfs_names)'
complete -c mcfs-scheduler -n 'contains -- (__mcfs_command) run history' -f -a '(__mcfs_names)'
