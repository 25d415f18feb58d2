#compdef automagik
# Completion of automagik in zsh: source <(automagik completion zsh), or save it as _automagik in $fpath.
_automagik() {
    local line value about
    local -a found
    while IFS= read -r line; do
        if [[ $line == ":files" ]]; then
            _files
            return
        fi
        value=${${line%%$'\t'*}//:/\\:} about=${line#*$'\t'}
        found+=("$value${about:+:$about}")
    done < <(_AUTOMAGIK_LINE="${(j: :)words[1,CURRENT]}" ${words[1]} 2>/dev/null)
    [[ $PREFIX == -*=* ]] && compset -P '*='
    _describe -V automagik found
}
if [[ $funcstack[1] == _automagik ]]; then
    _automagik "$@"
else
    compdef _automagik automagik
fi
