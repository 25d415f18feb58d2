"""All commands as values: for programs, for the manual page and for the reference."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

_EXAMPLE = re.compile(r"\n\n\x08\nExample: (.*)")
_SENTENCE = re.compile(r"\.(?=\s)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """An option or an argument."""

    names: Sequence[str]
    """`--limit` and `-n`; of an argument what stands for it."""
    type: str
    """flag, choice, integer, number, duration or text."""
    metavar: str | None
    choices: Sequence[str]
    default: Any
    is_required: bool
    is_repeatable: bool
    help: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandHelp:
    """A command, or a group of them."""

    path: str
    """All its words: `automagik tasks list`."""
    summary: str
    help: str
    examples: Sequence[str]
    arguments: Sequence[Parameter]
    options: Sequence[Parameter]
    """Without those that every command has: the root has these."""
    commands: "Sequence[CommandHelp]"


def command_tree() -> CommandHelp:
    """Imports every command."""
    from automagik.cli.cli import ENTRIES, load, whole

    root = whole()
    shared = {tuple(parameter.opts) for parameter in root.params}
    return CommandHelp(
        path="automagik",
        summary=_summary(root.help),
        help=root.help,
        examples=[],
        arguments=[],
        options=_options(root, set()),
        commands=[_described(load(name), f"automagik {name}", shared) for name in ENTRIES],
    )


def walk(tree: CommandHelp) -> Iterator[CommandHelp]:
    """The command and all below it, each before its own."""
    yield tree
    for child in tree.commands:
        yield from walk(child)


def _described(command: Any, path: str, shared: set[tuple[str, ...]]) -> CommandHelp:
    children = getattr(command, "commands", {})
    text, *_ = command.help.partition("\n\n\b\n")
    return CommandHelp(
        path=path,
        summary=_summary(text),
        help=_joined(text),
        examples=_EXAMPLE.findall(command.help),
        arguments=[_parameter(p) for p in command.params if p.param_type_name == "argument"],
        options=_options(command, shared),
        commands=[_described(child, f"{path} {name}", shared) for name, child in children.items()],
    )


def _options(command: Any, without: set[tuple[str, ...]]) -> list[Parameter]:
    own = [p for p in command.params if p.param_type_name == "option"]
    return [_parameter(option) for option in own if tuple(option.opts) not in without]


def _parameter(parameter: Any) -> Parameter:
    is_option = parameter.param_type_name == "option"
    descriptor = parameter.type_descriptor
    names = [*parameter.opts, *parameter.secondary_opts]
    return Parameter(
        names=names if is_option else [parameter.metavar or parameter.name.upper()],
        type=_type(parameter),
        metavar=parameter.metavar,
        choices=[str(choice) for choice in descriptor.choices or ()],
        default=_default(parameter),
        is_required=parameter.required,
        is_repeatable=parameter.multiple if is_option else parameter.nargs == -1,
        help=parameter.help or "",
    )


def _type(parameter: Any) -> str:
    if getattr(parameter, "is_flag", False):
        return "flag"
    if parameter.type_descriptor.is_choice:
        return "choice"
    kinds = {int: "integer", float: "number", timedelta: "duration"}
    return kinds.get(parameter.type_descriptor.annotation, "text")


def _default(parameter: Any) -> Any:
    given = parameter.default
    return None if callable(given) or given in ((), []) else given


def _summary(text: str) -> str:
    """The first sentence."""
    return f"{_SENTENCE.split(_joined(text) + ' ')[0].strip().rstrip('.')}."


def _joined(text: str) -> str:
    """Each paragraph in one line."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n") if part.strip())
