"""Writes `docs/reference` and the manual page from the code, which is where they are right.

uv run python -m docs.generate
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from automagik.cli import texts
from automagik.cli.command_tree import CommandHelp, Parameter, command_tree, walk
from automagik.cli.error_guide import error_guide
from automagik.cli.man_page import man_page
from automagik.cli.settings_guide import settings_guide
from automagik.core.metrics import families
from automagik.core.metrics.families import Family
from automagik.core.tasks.states import TRANSITIONS, TaskState
from docs.json_page import json_page
from docs.json_schema import Schema
from docs.json_things import EVERYTHING

REFERENCE = Path(__file__).with_name("reference")


def main() -> None:
    for name, text in pages().items():
        file = REFERENCE / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """By the names of the files."""
    return {
        "commands.md": _page(_commands(command_tree())),
        "settings.md": _page(_settings()),
        "errors.md": _page(_errors()),
        "states.md": _page(_states()),
        "metrics.md": _page(_metrics()),
        "automagik.1": man_page(),
        "json.md": _page(json_page()),
        **{f"json/{each.file}": _document(each.schema) for each in EVERYTHING},
    }


def _states() -> Iterator[str]:
    """In the language that GitHub draws."""
    yield from (
        "# States of a task",
        "",
        "The database refuses every other step.",
        "",
        "```mermaid",
    )
    yield from ("stateDiagram-v2", "    [*] --> pending")
    for state in TaskState:
        yield from (f"    {state} --> {each}" for each in TaskState if each in TRANSITIONS[state])
    yield from (f"    {state} --> [*]" for state in TaskState if state.is_final)
    yield from ("```", "", "[What each of them means](../glossary.md#states-of-a-task)")


def _metrics() -> Iterator[str]:
    yield from ("# Metrics", "", "[How they are made and read](../metrics.md)")
    yield from ("", "## What is so at the moment of a scrape", "")
    yield from _families(families.PRESENT)
    yield from ("", "## What is counted from a server's start on", "")
    yield "A histogram `name` has the series `name_bucket`, `name_sum` and `name_count`."
    yield ""
    yield from _families(families.COUNTED)


def _families(found: Sequence[Family]) -> Iterator[str]:
    yield "| name | type | labels | meaning | a scrape reads |"
    yield "| --- | --- | --- | --- | --- |"
    for each in found:
        labels = ", ".join(f"`{label}`" for label in each.labels)
        yield f"| `{each.name}` | {each.kind} | {labels} | {_cell(each.meaning)} | {each.cost} |"


def _page(lines: Iterator[str]) -> str:
    text = "\n".join(["<!-- Made by docs/generate.py: change the code instead. -->", "", *lines])
    return re.sub(r"\n{3,}", "\n\n", f"{text.rstrip()}\n")


def _document(schema: Schema) -> str:
    return f"{json.dumps(schema, indent=2, ensure_ascii=False)}\n"


def _commands(tree: CommandHelp) -> Iterator[str]:
    yield "# Commands"
    yield ""
    for group in tree.commands:
        leaves = [each for each in walk(group) if not each.commands]
        links = (f"[{each.path.split()[-1]}](#{each.path.replace(' ', '-')})" for each in leaves)
        yield f"- `{group.path}`: {' · '.join(links)}" if group.commands else f"- {next(links)}"
    yield from (
        "",
        "Every command takes these options, too. [How answers look](#how-answers-look)",
        "",
    )
    yield from _table(tree.options)
    for command in walk(tree):
        if not command.commands:
            yield from _command(command)
    yield from ("", _below(texts.read("formatting")), _below(texts.read("exit-codes")))


def _command(command: CommandHelp) -> Iterator[str]:
    yield from ("", f"## {command.path}", "", command.help, "", "```text")
    yield from command.examples
    yield from ("```", "")
    yield from _table([*command.arguments, *command.options])


def _table(parameters: Sequence[Parameter]) -> Iterator[str]:
    if not parameters:
        return
    yield "| | | |"
    yield "| --- | --- | --- |"
    for each in parameters:
        names = ", ".join(f"`{name}`" for name in each.names)
        yield f"| {_cell(names)} | {_cell(_value(each))} | {_cell(each.help)} |"


def _value(parameter: Parameter) -> str:
    if parameter.type == "flag":
        return ""
    kind = ", ".join(f"`{choice}`" for choice in parameter.choices) or parameter.type
    return kind if parameter.default is None else f"{kind}; `{parameter.default}`"


def _settings() -> Iterator[str]:
    yield texts.read("environment")
    yield ""
    yield "| variable | in files | default | |"
    yield "| --- | --- | --- | --- |"
    for each in settings_guide():
        default = "" if each.default is None else f"`{each.default}`"
        yield f"| `{each.name}` | `{each.key}` | {default} | {_cell(each.meaning)} |"
    yield ""
    yield texts.read("other-variables").replace("# ", "## ")


def _errors() -> Iterator[str]:
    yield "# Errors"
    yield ""
    yield "Each error has a code that stays the same. In a terminal: `automagik help error CODE`."
    for each in error_guide().values():
        yield from ("", f"## {each.code}", "", f"**{each.meaning}**{_numbers(each.exit_code)}", "")
        yield from (each.details, "", "Usual causes:", "")
        yield from (f"- {cause}" for cause in each.causes)
        yield from ("", "What to do:", "")
        yield from (f"- {remedy}" for remedy in each.remedies)


def _numbers(exit_code: int | None) -> str:
    return "" if exit_code is None else f" Exit code {exit_code}."


def _below(text: str) -> str:
    """With headings one deeper."""
    return re.sub(r"^#", "##", text, flags=re.MULTILINE)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    main()
