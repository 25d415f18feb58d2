"""How answers look, as people choose it: shapes, colour, times, headers and the pager."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from automagik.cli import pager, times
from automagik.cli.printer import Color, Column, Output, Printer
from automagik.cli.times import TimeFormat
from tests.cli.command_line import Cli

PAST = datetime(2020, 5, 4, 3, 2, 1, tzinfo=UTC)
ITEMS: list[dict[str, Any]] = [
    {"name": "x", "id": 7, "at": PAST},
    {"name": "y", "id": 8, "at": PAST},
]
COLUMNS = [Column("name"), Column("id", wide=True), Column("at")]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)


def test_yaml_carries_what_json_does(capsys: pytest.CaptureFixture[str]) -> None:
    Printer(output=Output.JSON).items(ITEMS, COLUMNS, empty="", following="abc")
    as_json = json.loads(capsys.readouterr().out)
    Printer(output=Output.YAML).items(ITEMS, COLUMNS, empty="", following="abc")

    assert yaml.safe_load(capsys.readouterr().out) == as_json
    assert as_json["next"] == "abc"


def test_one_thing_in_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    Printer(output=Output.YAML).item({"text": "a: b\nc", "on": True})

    assert yaml.safe_load(capsys.readouterr().out) == {
        "schema_version": 1,
        "text": "a: b\nc",
        "on": True,
    }


@pytest.mark.parametrize("output, header", [(Output.CSV, "name,id,at"), (Output.WIDE, "NAME")])
def test_the_header_can_be_left_out(
    output: Output, header: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Printer(output=output).items(ITEMS, COLUMNS, empty="")
    with_header = capsys.readouterr().out.splitlines()
    Printer(output=output, has_header=False).items(ITEMS, COLUMNS, empty="")
    without = capsys.readouterr().out.splitlines()

    assert with_header[0].startswith(header)
    assert [line.split() for line in without] == [line.split() for line in with_header[1:]]


def test_quiet_names_what_is_in_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    Printer(quiet=True).items(ITEMS, COLUMNS, empty="")
    Printer(quiet=True, output=Output.TSV, fields=("id",)).items(ITEMS, COLUMNS, empty="")

    assert capsys.readouterr().out == "x\ny\n7\n8\n"


@pytest.mark.parametrize(
    "color, variables, is_coloured",
    [
        (Color.AUTO, {}, False),
        (Color.ALWAYS, {}, True),
        (Color.AUTO, {"FORCE_COLOR": "1"}, True),
        (Color.AUTO, {"CLICOLOR_FORCE": "1"}, True),
        (Color.AUTO, {"CLICOLOR_FORCE": "0"}, False),
        (Color.AUTO, {"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, False),
        (Color.NEVER, {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colour_is_there_when_it_is_asked_for(
    color: Color,
    variables: dict[str, str],
    *,
    is_coloured: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    columns = [Column("name", style="red")]
    Printer(output=Output.TABLE, color=color).items(ITEMS, columns, empty="")

    assert ("\x1b[31m" in capsys.readouterr().out) is is_coloured


@pytest.mark.parametrize(
    "wanted, words",
    [
        (TimeFormat.ISO, "2020-05-04T03:02:01Z"),
        (TimeFormat.UTC, "Mon 4 May 2020 03:02:01 UTC"),
    ],
)
def test_instants_look_as_they_were_asked_for(
    wanted: TimeFormat, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    token = times.chosen.set(wanted)
    Printer(output=Output.TABLE).items(ITEMS[:1], [Column("at")], empty="")
    times.chosen.reset(token)

    assert capsys.readouterr().out.splitlines()[1].strip() == words


def test_relative_times_stand_alone_when_they_are_asked_for() -> None:
    token = times.chosen.set(TimeFormat.RELATIVE)
    words = times.when(datetime.now(UTC) + timedelta(minutes=5, milliseconds=500))
    times.chosen.reset(token)

    assert words == "in 5m"


def test_one_command_leaves_the_next_its_defaults(offline_cli: Cli) -> None:
    words = ("schedules", "preview", "--every", "1d", "--from", "2026-01-01", "-n", "1")
    before = offline_cli(*words, "-o", "table")
    offline_cli(*words, "-o", "table", "--time", "iso", "--no-header", "--color", "always")

    assert offline_cli(*words, "-o", "table").stdout == before.stdout


def test_the_pager_gets_what_is_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = tmp_path / "seen"
    monkeypatch.setenv("PAGER", f"tee {seen}")
    pager.show("a\nb\n")

    assert seen.read_text() == "a\nb\n"


@pytest.mark.parametrize("command", ["", "cat", "no-such-pager -x"])
def test_without_a_pager_it_goes_straight_out(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PAGER", command)
    pager.show("long\n")

    assert capsys.readouterr().out == "long\n"


def test_the_traceback_is_shown_with_debug(offline_cli: Cli) -> None:
    plain = offline_cli("tasks", "list")
    traced = offline_cli("tasks", "list", "--debug")

    assert "Traceback" not in plain.stderr
    assert "Traceback" in traced.stderr
    assert plain.exit_code == traced.exit_code
