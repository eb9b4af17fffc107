# SPDX-License-Identifier: MIT
#
# Completion for fish. It asks `weir … --help`, which is made from the tables that the command line is read with, so it
# knows every command and option of the weir that is installed.

# The words before the cursor that name a command: at most two, before the first option.
function __weir_path
    set -l found
    for word in (commandline -opc)[2..]
        switch $word
            case help
                test (count $found) -eq 0; or break
            case '-*'
                break
            case '*'
                set -a found $word
        end
        test (count $found) -lt 2; or break
    end
    string join \n $found
end

function __weir_help
    set -l path (__weir_path)
    if not weir $path --help --color never 2>/dev/null; and test (count $path) -eq 2
        weir $path[1] --help --color never 2>/dev/null # the second word was an operand, not a command
    end
end

# True behind `--`, where a command of the user's stands.
function __weir_in_script
    contains -- -- (commandline -opc)
end

# "name<TAB>what it does" for commands and options.
function __weir_words
    __weir_help | string match -r '^(?:  [a-z][a-z-]*  .*|  (?:-[a-zA-Z],|   ) --[a-z].*)' |
        string replace -r '^  (?:-[a-zA-Z], |    )?(--[a-z-]+|[a-z][a-z-]*)(?: [A-Z:=]+)?(?: +(.*))?$' '$1\t$2'
end

complete -c weir -n 'not __weir_in_script' -f -a '(__weir_words)'
complete -c weir -n __weir_in_script -a '(__fish_complete_subcommand --commandline (commandline -ct))'
