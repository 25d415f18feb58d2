# Completion of automagik in fish: automagik completion fish | source
function __automagik
    set -lx _AUTOMAGIK_LINE (commandline -cp | string collect)
    # Fish wants the whole word, also what stands before the = of an option.
    set -l option (string match --regex -- '^-[^=]*=' (commandline -ct))
    for line in (automagik 2>/dev/null)
        if test "$line" = ":files"
            __fish_complete_path (commandline -ct)
            return
        end
        echo "$option$line"
    end
end
complete --command automagik --no-files --keep-order --arguments '(__automagik)'
