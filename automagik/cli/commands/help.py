"""`automagik help`: commands, topics and errors, for people and for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from difflib import get_close_matches
from typing import Annotated, Any

import typer

from automagik.cli import known, texts
from automagik.cli.context import printer
from automagik.cli.printer import Column, Output
from automagik.cli.texts import TOPICS
from automagik.core.exceptions import InvalidInput, NotFound

app = typer.Typer()

_ERRORS = (
    Column("code"),
    Column("exit_code", "Exit"),
    Column("http_status", "HTTP", wide=True),
    Column("meaning"),
)
_SETTINGS = (Column("name"), Column("default"), Column("meaning"))


@app.command("help")
def help_(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WORD]…",
            help=f"A command, or a topic: {', '.join(TOPICS)}, error CODE.",
            autocompletion=known.help_words,
        ),
    ] = None,
    *,
    json: Annotated[
        bool, typer.Option("--json", help="For programs: a command with all below it.")
    ] = False,
    man: Annotated[bool, typer.Option("--man", help="The page for man, of all commands.")] = False,
) -> None:
    """Explain a command, a topic or an error; alone, list what there is.

    Example: automagik help tasks list

    Example: automagik help error AM-SRC-KEY

    Example: automagik help --json
    """
    if json:
        printer().output = Output.JSON
    match words or []:
        case [] if man:
            _man_page()
        case ["errors"] | ["error"]:
            _errors()
        case ["error", code]:
            _error(code)
        case ["environment"]:
            _environment()
        case [topic] if topic in TOPICS:
            _topic(topic)
        case found:
            _command(found)


def _man_page() -> None:
    from automagik.cli.man_page import man_page

    printer().raw(man_page())


def _errors() -> None:
    from automagik.cli.error_guide import error_guide

    printer().items([asdict(each) for each in error_guide().values()], _ERRORS, empty="")
    printer().say("More of one: automagik help error CODE")


def _error(code: str) -> None:
    from automagik.cli.error_guide import error_guide

    guide = error_guide()
    wanted = code.upper() if code.upper().startswith("AM-") else f"AM-{code.upper()}"
    if wanted not in guide:
        raise NotFound(
            f"There is no error code {code!r}.",
            hint=_did_you_mean(wanted, guide) or "See which there are with: automagik help errors",
        )
    found = guide[wanted]
    if _for_programs():
        printer().item(asdict(found))
        return
    exits = "" if found.exit_code is None else f" · exit code {found.exit_code}"
    text = texts.sections("error-codes")[wanted].strip()
    printer().text(f"{wanted}{exits}\n{found.meaning}\n\n{text}\n")


def _environment() -> None:
    from automagik.cli.settings_guide import settings_guide

    items = [asdict(each) for each in settings_guide()]
    if _for_programs():
        printer().items(items, _SETTINGS, empty="")
        return
    lines = [texts.read("environment"), ""]
    for item in items:
        default = "" if item["default"] is None else f"  (by default {item['default']})"
        lines += [f"    {item['name']}{default}", f"        {item['meaning']}"]
    printer().text("\n".join([*lines, "", texts.read("other-variables")]))


def _topic(topic: str) -> None:
    if _for_programs():
        printer().item({"topic": topic, "text": texts.read(topic)})
    else:
        printer().text(texts.read(topic))


def _command(words: Sequence[str]) -> None:
    from automagik.cli.cli import ENTRIES, entered, plural

    if words and plural(words[0]) not in ENTRIES:
        raise InvalidInput(
            f"There is no command or topic {words[0]!r}.",
            hint=_did_you_mean(words[0], [*ENTRIES, *TOPICS]) or "See: automagik help",
        )
    shown = entered(words)
    if _for_programs():
        _described(shown.command_path)
        return
    printer().text(f"{shown.get_help()}\n")
    if not words:
        _list_topics()


def _described(path: str) -> None:
    from automagik.cli.command_tree import command_tree, walk

    [found] = [each for each in walk(command_tree()) if each.path == path]
    printer().item(asdict(found))


def _list_topics() -> None:
    topics = {**TOPICS, "error CODE": "What a code means and what to do."}
    width = max(map(len, topics))
    lines = [f"  {topic:<{width}}  {about}\n" for topic, about in topics.items()]
    printer().raw(f"\nTopics, as in automagik help exit-codes:\n{''.join(lines)}")


def _for_programs() -> bool:
    return printer().output not in (None, Output.TABLE, Output.WIDE)


def _did_you_mean(word: str, there: Any) -> str | None:
    close = get_close_matches(word, list(there), n=1)
    return f"Did you mean {close[0]}?" if close else None
