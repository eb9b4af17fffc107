# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Completion for bash. It asks `weir … --help`, which is made from the tables that the command line is read with, so it
# knows every command and option of the weir that is installed.

# Commands named in a help text, one per line.
_weir_commands() {
    sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z-]*\)  .*/\1/p'
}

# Options named in a help text, one per line.
_weir_options() {
    sed -n 's/^  \(-[a-zA-Z]\), \(--[a-z-]*\).*/\1\n\2/p; s/^      \(--[a-z-]*\).*/\1/p'
}

# The word that stands for the value of option $1 in a help text; nothing when it takes none.
_weir_value_of() {
    sed -n "/^  \(-., \)\{0,1\} *--[a-z]/s/^[^A-Z]*$1\(, --[a-z-]*\)\{0,1\} \([A-Z][A-Z:=]*\).*/\2/p" | head -n 1
}

_weir_complete_value() {
    case $1 in
    LEVEL) mapfile -t COMPREPLY < <(compgen -W 'durable committed applied' -- "$2") ;;
    DIR) mapfile -t COMPREPLY < <(compgen -d -- "$2") ;;
    FILE | PATH | DATABASE) mapfile -t COMPREPLY < <(compgen -f -- "$2") ;;
    WHEN) mapfile -t COMPREPLY < <(compgen -W 'auto always never' -- "$2") ;;
    STATUS) mapfile -t COMPREPLY < <(compgen -W 'pending running completed failed cancelled' -- "$2") ;;
    POLICY) mapfile -t COMPREPLY < <(compgen -W 'full interval:100 normal off' -- "$2") ;;
    esac
}

_weir() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local path=() word help commands value
    COMPREPLY=()

    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        if [ "$word" = -- ]; then # what follows is a command of the user's
            mapfile -t COMPREPLY < <(compgen -c -- "$current"; compgen -f -- "$current")
            return
        fi
    done
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in
        help) [ ${#path[@]} -eq 0 ] || break ;;
        [a-z]*) path+=("$word") ;;
        *) break ;;
        esac
        [ ${#path[@]} -lt 2 ] || break
    done

    help=$("${COMP_WORDS[0]}" "${path[@]}" --help --color never 2>/dev/null)
    if [ -z "$help" ] && [ ${#path[@]} -eq 2 ]; then # the second word was an operand, not a command
        help=$("${COMP_WORDS[0]}" "${path[0]}" --help --color never 2>/dev/null)
    fi
    commands=$(_weir_commands <<<"$help")
    if [[ $previous == -* ]]; then
        value=$(_weir_value_of "$previous" <<<"$help")
        if [ -n "$value" ]; then
            _weir_complete_value "$value" "$current"
            return
        fi
    fi
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_weir_options <<<"$help")" -- "$current")
    elif [ -n "$commands" ]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}

complete -o filenames -F _weir weir
