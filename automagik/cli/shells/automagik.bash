# Completion of automagik in bash: eval "$(automagik completion bash)"
_automagik() {
    local line=${COMP_LINE:0:COMP_POINT} word piece=${COMP_WORDS[COMP_CWORD]} before=
    word=${line##*[[:space:]]}
    # Bash ends words at : = @, too, and replaces only the last piece.
    [[ $piece == [:=@] ]] && piece=
    [[ $word == *"$piece" ]] && before=${word%"$piece"}
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ $line == ":files" ]]; then
            compopt -o default 2>/dev/null
            return
        fi
        line=${line%%$'\t'*}
        line=${line#"$before"}
        # What is typed in quotes stays as it is; else a name may need some.
        [[ $piece == [\'\"]* ]] || printf -v line %q "$line"
        COMPREPLY+=("$line")
    done < <(_AUTOMAGIK_LINE="${COMP_LINE:0:COMP_POINT}" "$1" 2>/dev/null)
}
complete -o nosort -F _automagik automagik 2>/dev/null || complete -F _automagik automagik
