"""The frame around all commands: help, output, errors and exit codes."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2
import pytest
import redis
import typer
from sqlalchemy.exc import OperationalError, ProgrammingError

from automagik import __version__
from automagik.cli import context, person
from automagik.cli.cli import ENTRIES, load
from automagik.cli.failures import as_known, ending
from automagik.cli.printer import Column, Output, Printer
from automagik.cli.times import at, duration, parse_duration, relative
from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.exceptions import InvalidInput, NotFound, RedisUnreachable, Unreachable
from tests.cli.command_line import Cli
from tests.cli.terminal import Terminal
from tests.core.scheduler.stored import add_flow

HEAVY = {"sqlalchemy", "celery", "redis", "requests", "alembic", "pydantic_settings"}
# What SQLAlchemy has for others, and libraries of commands that do more than read tables.
NOT_FOR_LISTS = HEAVY - {"sqlalchemy", "pydantic_settings"} | {
    *("sqlalchemy.orm", "croniter", "cryptography", "icalendar", "rich", "textual", "yaml")
}
LISTS = (
    *("backfills list", "calendars list", "failures", "flows list", "queues list"),
    *("schedules list", "sources list", "stats", "tasks list", "workers list"),
)
NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
ITEM: dict[str, Any] = {
    "id": UUID("01980000-0000-7000-8000-000000000001"),
    "name": "a\tb\nc",
    "at": NOW,
    "length": timedelta(seconds=90),
    "tags": {"x": [1]},
    "nothing": None,
    "good": True,
}
COLUMNS = [Column(key) for key in ITEM]


def leaves(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, child in getattr(command, "commands", {}).items():
        yield from leaves(child, f"{path} {name}")
    if not hasattr(command, "commands"):
        yield path, command


def python(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *args],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["flws"]])
def test_the_root_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys; from automagik.cli.cli import main; main(sys.argv[1:]);"
        f"heavy = {HEAVY!r} & set(sys.modules); sys.exit(', '.join(heavy) or 0)"
    )

    assert python("-c", code, *words).returncode == 0


@pytest.mark.usefixtures("settings")
def test_lists_import_only_what_reads_tables() -> None:
    code = (
        "import sys; from automagik.cli.cli import main;"
        f"failed = [words for words in {LISTS!r} if main(words.split())];"
        f"heavy = {NOT_FOR_LISTS!r} & set(sys.modules); sys.exit(', '.join((*failed, *heavy)) or 0)"
    )

    result = python("-c", code)

    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_command_has_help_with_an_example(entry: str) -> None:
    if find_spec(f"automagik.cli.commands.{entry}") is None:
        pytest.fail(f"there is no module for {entry}")
    found = dict(leaves(load(entry), f"automagik {entry}"))

    assert found
    for path, command in found.items():
        assert f"Example: {path}" in command.help, path
        silent = [p.name for p in command.params if not p.help]
        assert silent == [], path


@pytest.mark.parametrize("module", ["automagik", "automagik.cli.cli"])
def test_it_runs_as_a_module(module: str) -> None:
    result = python("-m", module, "--version")

    assert (result.returncode, result.stdout) == (0, f"automagik {__version__}\n")


def test_an_unknown_command_names_the_nearest(offline_cli: Cli) -> None:
    result = offline_cli("shedules", "list")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "Did you mean 'schedules'" in result.stderr


def test_singular_names_mean_the_plural(offline_cli: Cli) -> None:
    singular = offline_cli("schedule", "preview", "--every", "1d", "--from", "2026-01-01T00:00")
    plural = offline_cli("schedules", "preview", "--every", "1d", "--from", "2026-01-01T00:00")

    assert singular == plural
    assert plural.exit_code == 0


def test_a_group_alone_shows_its_commands(offline_cli: Cli) -> None:
    result = offline_cli("db")

    assert result.exit_code == 2
    assert "downgrade" in result.stdout + result.stderr


def test_a_failure_is_said_on_stderr_with_its_code_and_what_to_do(offline_cli: Cli) -> None:
    result = offline_cli("schedules", "list")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("✗ DATABASE_URL is not set")
    assert "AM-CONFIG" in result.stderr
    assert "automagik up" in result.stderr


@pytest.mark.parametrize("position", ["before", "after"])
def test_in_json_a_failure_is_a_problem_object(offline_cli: Cli, position: str) -> None:
    words = ["-o", "json", "db", "current"] if position == "before" else ["db", "current", "-ojson"]
    problem = json.loads(offline_cli(*words).stderr)

    assert problem["code"] == "AM-CONFIG"
    assert problem["title"] == "A setting is missing or wrong."
    assert problem.keys() >= {"schema_version", "status", "detail", "hint"}


def test_lost_connections_that_nobody_translated_are_unreachable() -> None:
    lost = OperationalError("SELECT 1", {}, psycopg2.OperationalError("server closed"))

    assert isinstance(as_known(lost), Unreachable)
    assert isinstance(as_known(redis.ConnectionError("refused")), RedisUnreachable)


def test_other_errors_of_the_database_are_not_called_unreachable() -> None:
    wrong = ProgrammingError("SELEC", {}, psycopg2.ProgrammingError("syntax error"))

    assert as_known(wrong) is None
    assert as_known(redis.ResponseError("WRONGTYPE")) is None


def test_what_nobody_expected_is_one_line_that_says_it_is_a_bug(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUTOMAGIK_DEBUG", raising=False)
    with context.invocation(), ending() as outcome:
        raise ValueError("[odd] text\nsecond line")
    stderr = capsys.readouterr().err

    assert outcome.exit_code == 1
    assert stderr.startswith("✗ ValueError: [odd] text  (AM-000)\n")
    assert "bug" in stderr
    assert "Traceback" not in stderr


def test_the_traceback_is_there_when_it_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOMAGIK_DEBUG", "1")
    with context.invocation(), ending() as outcome:
        raise NotFound
    stderr = capsys.readouterr().err

    assert outcome.exit_code == 3
    assert "Traceback" in stderr
    assert "✗ There is no such thing.  (AM-NOT-FOUND)" in stderr


def test_an_interruption_ends_with_130() -> None:
    with context.invocation(), ending() as outcome:
        raise KeyboardInterrupt

    assert outcome.exit_code == 130


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = "python -m automagik schedules preview --every 1s -n 10000 | head -1"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": path, "TIMEZONE": "UTC"},
    )

    assert result.stderr.splitlines() == ["every second"]
    assert result.returncode == 1


def test_in_a_pipe_each_record_is_one_line_and_nothing_is_shortened(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Printer().items([ITEM, ITEM], COLUMNS, empty="")

    first, second = capsys.readouterr().out.splitlines()
    assert first == second
    assert first.split("\t") == [
        str(ITEM["id"]),
        "a\\tb\\nc",
        "2026-11-20T08:00:00Z",
        "90.0",
        '{"x": [1]}',
        "",
        "true",
    ]


def test_json_carries_every_key_whatever_the_columns(capsys: pytest.CaptureFixture[str]) -> None:
    Printer(output=Output.JSON).items([ITEM], COLUMNS[:1], empty="")

    document = json.loads(capsys.readouterr().out)
    assert document["schema_version"] == 1
    assert document["items"][0] == {
        "id": str(ITEM["id"]),
        "name": "a\tb\nc",
        "at": "2026-11-20T08:00:00Z",
        "length": 90.0,
        "tags": {"x": [1]},
        "nothing": None,
        "good": True,
    }


@pytest.mark.parametrize(
    "output, expected",
    [
        (Output.JSONL, '{"name": "x", "id": 7}\n{"name": null, "id": 8}\n'),
        (Output.CSV, "name,id\nx,7\n,8\n"),
        (Output.TSV, "x\t7\n\t8\n"),
        (Output.NAME, "x\n8\n"),
    ],
)
def test_shapes_of_lists(output: Output, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    items: list[dict[str, Any]] = [{"name": "x", "id": 7}, {"name": None, "id": 8}]
    Printer(output=output).items(items, [Column("name"), Column("id")], empty="")

    assert capsys.readouterr().out == expected


def test_fields_are_chosen_and_ordered(capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer(output=Output.TSV, fields=("good", "id"))
    printer.items([ITEM], COLUMNS, empty="")

    assert capsys.readouterr().out == f"true\t{ITEM['id']}\n"


@pytest.mark.parametrize("output", list(Output))
def test_a_field_that_nothing_has_is_refused_with_those_there_are(output: Output) -> None:
    printer = Printer(output=output, fields=("id", "nmae"))

    with pytest.raises(InvalidInput, match="no field 'nmae'") as refused:
        printer.items([ITEM], COLUMNS, empty="")
    assert "id, name, at" in str(refused.value.hint)


def test_what_was_made_is_told_even_with_a_wrong_field(capsys: pytest.CaptureFixture[str]) -> None:
    Printer(output=Output.TSV, fields=("id", "nmae")).made(ITEM)

    assert capsys.readouterr().out == f"id\t{ITEM['id']}\nnmae\t\n"


def test_an_empty_list_explains_itself_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    Printer().items([], COLUMNS, empty="Nothing yet. Make one.")
    Printer(output=Output.JSON).items([], COLUMNS, empty="Nothing yet.")

    captured = capsys.readouterr()
    assert captured.err == "Nothing yet. Make one.\n"
    assert json.loads(captured.out) == {"schema_version": 1, "items": [], "next": None}


def test_a_table_is_not_cut_and_says_the_zone(capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer(output=Output.TABLE)
    printer.items([{"name": "n" * 300, "at": NOW, "none": None}], _some(), empty="")

    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split() == ["NAME", "AT", "NONE"]
    assert "n" * 300 in line
    assert str(datetime.now(UTC).astimezone().tzname()) in line


def test_what_a_flow_says_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Printer(output=Output.TABLE).item({"text": "\x1b[2Jgone [bold]"})

    assert capsys.readouterr().out == "Text  �[2Jgone [bold]\n"


def test_quiet_leaves_data_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer(quiet=True)
    printer.say("talk")
    printer.raw("data")
    printer.error(InvalidInput("wrong"))

    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("data", "✗ wrong  (AM-INPUT)\n")


def test_a_closed_stdout_is_no_bug() -> None:
    command = f"{sys.executable} -m automagik schedules preview --every 1s >&-"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)

    assert (result.returncode, result.stderr) == (0, "every second\n")


def test_another_database_than_postgresql_is_a_wrong_setting(
    offline_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://localhost/automagik")
    result = offline_cli("tasks", "list")

    assert result.exit_code == 2
    assert "not a URL of PostgreSQL" in result.stderr


@pytest.mark.parametrize("answer, exit_code", [("", 1), ("no\n", 1), ("maybe\n", 1), ("y\n", 0)])
def test_only_a_yes_confirms(
    answer: str, exit_code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("automagik.cli.person.is_there", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    with context.invocation(), ending() as outcome:
        try:
            person.confirm("Delete it?", yes=False)
        except typer.Exit as left:
            outcome.exit_code = left.exit_code

    assert outcome.exit_code == exit_code
    assert ("Nothing was changed." in capsys.readouterr().err) is bool(exit_code)


def test_no_input_asks_nobody(terminal: Terminal, settings: Settings) -> None:
    database = Database(settings.require_database_url())
    add_flow(database)
    database.dispose()

    asked = terminal("flows", "delete", "Echo", keys={"[y/N]": "n\r"})
    silent = terminal("flows", "delete", "Echo", "--no-input")

    assert (asked.exit_code, "Nothing was changed." in asked.text) == (1, True)
    assert (silent.exit_code, "[y/N]" in silent.text) == (2, False)
    assert "--yes" in silent.text


def test_a_narrow_encoding_does_not_break_the_output() -> None:
    result = python("-m", "automagik", "größer", PYTHONIOENCODING="ascii")

    assert result.returncode == 2
    assert "gr\\xf6\\xdfer" in result.stderr


@pytest.mark.parametrize(
    "seconds, words",
    [
        (0.85, "850ms"),
        (4.25, "4.2s"),
        (59, "59s"),
        (64, "1m 4s"),
        (3600, "1h"),
        (93_784, "1d 2h"),
    ],
)
def test_durations_in_words_have_at_most_two_units(seconds: float, words: str) -> None:
    assert duration(timedelta(seconds=seconds)) == words


def test_instants_in_words_name_their_zone() -> None:
    soon = NOW + timedelta(minutes=12)

    assert relative(soon, now=NOW) == "in 12m"
    assert relative(NOW, now=soon) == "12m ago"
    assert relative(NOW, now=NOW) == "now"
    assert at(soon, now=NOW, zone="Europe/Berlin") == "Fri 20 Nov 09:12:00 Europe/Berlin"
    assert at(soon.replace(year=2027), now=NOW, zone="UTC") == "Sat 20 Nov 2027 08:12:00 UTC"


@pytest.mark.parametrize(
    "text, seconds", [("90", 90), ("1h30m", 5400), ("1.5s", 1.5), ("2d", 172_800), ("5 M", 300)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "0", "-5s", "5x", "m5", "\u0665s", "9" * 30])
def test_other_durations_are_refused(offline_cli: Cli, text: str) -> None:
    result = offline_cli("schedules", "create", "flow", "--every", "5m", f"--timeout={text}")

    assert result.exit_code == 2
    assert "--timeout" in result.stderr


def _some() -> list[Column]:
    return [Column("name"), Column("at"), Column("none")]
