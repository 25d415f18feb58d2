"""The page for `man`, in the macros of man(7)."""

import re
from collections.abc import Iterator, Sequence

from automagik import __version__
from automagik.cli import texts
from automagik.cli.command_tree import CommandHelp, Parameter, command_tree, walk
from automagik.cli.settings_guide import settings_guide


def man_page() -> str:
    return "\n".join(_lines(command_tree())) + "\n"


def _lines(tree: CommandHelp) -> Iterator[str]:
    yield f'.TH AUTOMAGIK 1 "" "AutoMagik {__version__}" "User Commands"'
    yield ".SH NAME"
    yield f"automagik \\- {_plain(tree.summary.rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield ".B automagik"
    yield "[\\fIOPTION\\fR]... \\fICOMMAND\\fR [\\fIARGUMENT\\fR]..."
    yield ".SH OPTIONS"
    yield "Every command takes these, too."
    yield from _terms(tree.options)
    yield ".SH COMMANDS"
    for command in walk(tree):
        if not command.commands:
            yield from _command(command)
    yield ".SH EXIT STATUS"
    yield from _verbatim(texts.read("exit-codes"))
    yield ".SH ENVIRONMENT"
    for setting in settings_guide():
        default = "" if setting.default is None else f" By default {setting.default}."
        yield from _term(f"\\fB{_plain(setting.name)}\\fR", f"{setting.meaning}{default}")
    yield ".PP"
    yield from _verbatim(texts.read("other-variables"))
    yield ".SH EXAMPLES"
    yield from _verbatim("\n".join(e for command in walk(tree) for e in command.examples[:1]))


def _command(command: CommandHelp) -> Iterator[str]:
    arguments = " ".join(argument.names[0] for argument in command.arguments)
    yield f'.SS "{_plain(f"{command.path} {arguments}".strip())}"'
    for number, paragraph in enumerate(command.help.split("\n\n")):
        yield from ([".PP"] if number else [])
        yield _plain(paragraph)
    yield from _terms([*command.arguments, *command.options])


def _terms(parameters: Sequence[Parameter]) -> Iterator[str]:
    for each in parameters:
        value = each.metavar or "|".join(each.choices) or ("" if each.type == "flag" else "VALUE")
        names = ", ".join(f"\\fB{_plain(name)}\\fR" for name in each.names)
        is_option = each.names[0].startswith("-")
        yield from _term(
            f"{names} \\fI{_plain(value)}\\fR" if is_option and value else names, each.help
        )


def _term(term: str, meaning: str) -> Iterator[str]:
    yield ".TP"
    yield term
    yield _plain(meaning)


def _verbatim(text: str) -> Iterator[str]:
    yield ".nf"
    yield from (_plain(line) for line in text.splitlines() if not line.startswith("#"))
    yield ".fi"


def _plain(text: str) -> str:
    """Without what roff takes for its own, and in ASCII, which every reader of pages can."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    ascii_alone = "".join(c if c.isascii() else f"\\[u{ord(c):04X}]" for c in escaped)
    return re.sub(r"^([.'])", r"\\&\1", ascii_alone)
