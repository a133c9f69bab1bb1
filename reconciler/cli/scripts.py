"""The scripts by which shells complete mtlsctl's command lines; each asks `mtlsctl __complete` for the words."""

_BASH = """\
# Completes mtlsctl in bash. Put this into ~/.bashrc: eval "$(mtlsctl completion bash)"
_mtlsctl() {
    local IFS=$'\\n'
    COMPREPLY=($(command mtlsctl __complete bash "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
    case "${COMPREPLY[0]-}" in
        :files | :folders) COMPREPLY=() ;; # bash completes paths itself where it gets nothing
        *) compopt +o default 2>/dev/null ;;
    esac
}
complete -o default -F _mtlsctl mtlsctl
"""

_ZSH = """\
#compdef mtlsctl
# Completes mtlsctl in zsh. Put this into ~/.zshrc, below compinit: eval "$(mtlsctl completion zsh)"
_mtlsctl() {
    local -a found
    found=("${(@f)$(command mtlsctl __complete zsh "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    case "$found[1]" in
        :files) _files ;;
        :folders) _files -/ ;;
        ?*) _describe mtlsctl found ;;
        *) return 1 ;;
    esac
}
if [ "$funcstack[1]" = _mtlsctl ]; then
    _mtlsctl "$@"
else
    compdef _mtlsctl mtlsctl
fi
"""

_FISH = """\
# Completes mtlsctl in fish: mtlsctl completion fish > ~/.config/fish/completions/mtlsctl.fish
function __mtlsctl_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found (command mtlsctl __complete fish $words[2..-1] 2>/dev/null)
    switch "$found[1]"
        case ':files'
            __fish_complete_path (commandline -ct)
        case ':folders'
            __fish_complete_directories (commandline -ct)
        case '*'
            printf '%s\\n' $found
    end
end
complete -c mtlsctl -f -a '(__mtlsctl_complete)'
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
"""By the name of the shell."""
