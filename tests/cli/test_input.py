"""`--input` as a person types it: text, a file, stdin, JSON, or fields."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from automagik.core.config import Settings
from automagik.core.database.session import Database
from tests.cli.command_line import Cli
from tests.core.records import rows
from tests.core.scheduler.stored import add_flow


@pytest.fixture(autouse=True)
def database(settings: Settings) -> Iterator[Database]:
    """With the flow Echo."""
    opened = Database(settings.require_database_url())
    add_flow(opened)
    yield opened
    opened.dispose()


def run(cli: Cli, *inputs: str, stdin: str | None = None) -> str:
    """What is said on stderr before the next step."""
    words = [word for each in inputs for word in ("--input", each)]
    done = cli("flows", "run", "Echo", *words, input=stdin)
    assert done.exit_code == 0, done.stderr
    return done.stderr.partition("Watch it")[0]


def given(database: Database) -> str:
    [found] = rows(database, "SELECT input_value FROM tasks ORDER BY id DESC LIMIT 1")
    return str(found)


@pytest.mark.parametrize(
    "text", ["hello", "is 1 + 1 = 2?", "x=1 and y=2", "aGVsbG8=", "greeting=good morning"]
)
def test_a_text_goes_as_it_is_and_nothing_is_said(cli: Cli, database: Database, text: str) -> None:
    assert (run(cli, text), given(database)) == ("", text)


def test_a_file_and_stdin_are_never_fields(cli: Cli, database: Database, tmp_path: Path) -> None:
    (tmp_path / "input.txt").write_text("city=Ulm", encoding="utf-8")

    assert (run(cli, "@input.txt"), given(database)) == ("", "city=Ulm")
    assert (run(cli, "-", stdin="days=3"), given(database)) == ("", "days=3")


def test_fields_become_one_object_and_it_is_said(cli: Cli, database: Database) -> None:
    said = run(cli, "city.name=Ulm", "city.rank=3", "note=two words", "old=null")

    assert (
        given(database) == '{"city": {"name": "Ulm", "rank": 3}, "note": "two words", "old": null}'
    )
    assert said == f"The input is {given(database)}\n"


def test_of_a_single_field_the_way_back_to_text_is_said(cli: Cli, database: Database) -> None:
    said = run(cli, "x=1")

    assert given(database) == '{"x": 1}'
    assert 'wrap it: --input \'{"input_value": "..."}\'' in said
    assert (run(cli, '{"input_value": "x=1"}'), given(database)) == ("", "x=1")


def test_fields_may_name_what_json_may(cli: Cli, database: Database) -> None:
    run(cli, "input_value=hello", "session_id=mine")

    assert given(database) == "hello"
    assert rows(database, "SELECT session_id FROM tasks") == ["mine"]


@pytest.mark.parametrize("inputs", [("a=1", "hello"), ("a=1", "a=2"), ("@file", "a=1")])
def test_what_cannot_be_together_is_refused(cli: Cli, inputs: tuple[str, ...]) -> None:
    words = [word for each in inputs for word in ("--input", each)]
    result = cli("flows", "run", "Echo", *words)

    assert (result.exit_code, result.stdout) == (2, "")


def test_every_command_with_an_input_reads_it_so(cli: Cli, database: Database) -> None:
    cli("schedules", "create", "Echo", "--name", "mine", "--every", "1h", "-i", "a.b=3")
    assert rows(database, "SELECT input_value FROM schedules") == ['{"a": {"b": 3}}']

    cli("schedules", "update", "mine", "--input", "a=4")
    assert rows(database, "SELECT input_value FROM schedules") == ['{"a": 4}']

    cli("schedules", "trigger", "mine", "--input", "a=5")
    assert given(database) == '{"a": 5}'

    cli("tasks", "replay", "@last", "--input", "a=6")
    assert given(database) == '{"a": 6}'


def test_a_triggered_run_takes_an_input_alone(cli: Cli, database: Database) -> None:
    cli("schedules", "create", "Echo", "--name", "mine", "--every", "1h")
    refused = cli("schedules", "trigger", "mine", "--input", "session_id=x")
    cli("schedules", "trigger", "mine", "--input", '{"message": "hello"}')

    assert (refused.exit_code, "of its schedule" in refused.stderr) == (2, True)
    assert given(database) == "hello"
