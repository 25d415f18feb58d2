"""Every command on a terminal and in a pipe, on a database with something of everything."""

import csv
import io
import json
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from string import Template
from typing import Any
from unicodedata import category

import pytest
import yaml
from cryptography.fernet import Fernet
from jsonschema import Draft202012Validator

from automagik.cli.command_tree import command_tree, walk
from automagik.core.config import with_driver
from automagik.core.database.migrate import downgrade
from automagik.demo.server import DemoServer
from docs.json_things import EVERYTHING, LIST, PROBLEM, THINGS
from tests.cli.command_line import Cli, Result, cli_in
from tests.cli.full_house import furnish
from tests.cli.invocations import (
    ANY_SCHEMA,
    CHANGING,
    ELSEWHERE,
    OFFLINE,
    READING,
    SCREENS,
    STEERED,
    UNKNOWN,
    Invocation,
)
from tests.cli.terminal import Shown, Terminal
from tests.conftest import SHORT_TIMES, new_database
from tests.core.records import opened

LEAVES = {each.path: each for each in walk(command_tree()) if not each.commands}
ENVELOPE = {"schema_version", "items", "next"}

_VALIDATORS = {
    thing.name: Draft202012Validator(
        thing.schema, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    for thing in EVERYTHING
}
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ID_BEGINS = re.compile(r"\b[0-9a-f]{8}-")
_TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_OURS = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[[0-9]*[A-G]|\x1b\[2?K|\r\n?")
"""Colours, the cursor, and the ends of lines."""


def leaf_of(invocation: Invocation) -> str:
    """The command that is called."""
    words = ["automagik", *invocation.words]
    return next(
        path for end in range(len(words), 0, -1) if (path := " ".join(words[:end])) in LEAVES
    )


def first_of_each(invocations: Sequence[Invocation]) -> list[Invocation]:
    """One for each command."""
    return list({leaf_of(each): each for each in reversed(invocations)}.values())


NEEDING_DATA = [
    each for each in first_of_each([*READING, *CHANGING]) if each.words[0] not in OFFLINE
]


class House:
    """A furnished database, and copies of it for those who change something."""

    def __init__(self, server_url: str, url: str, names: dict[str, str], folder: Path) -> None:
        self._server_url = server_url
        self.url = url
        self.names = names
        self.folder = folder

    @contextmanager
    def copy(self) -> Iterator[str]:
        with new_database(self._server_url, template=self.url.rpartition("/")[2]) as url:
            yield url

    def words(self, invocation: Invocation) -> list[str]:
        return [Template(word).substitute(self.names) for word in invocation.words]


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as found:
        yield found


@pytest.fixture(scope="module")
def house(
    postgres_server_url: str,
    redis_server_url: str,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
    patch: pytest.MonkeyPatch,
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    for name in ("LANGFLOW_API_URL", "LANGFLOW_API_KEY", "TIMEZONE", "AUTOMAGIK_PROFILE"):
        patch.delenv(name, raising=False)
    environment = {
        "REDIS_URL": redis_server_url,
        "AUTOMAGIK_HOME": str(folder / "home"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "AUTOMAGIK_SECRET_KEY": Fernet.generate_key().decode(),
    }
    with (
        new_database(postgres_server_url, template=migrated_template) as url,
        DemoServer() as there,
    ):
        for name, value in (SHORT_TIMES | environment | {"DATABASE_URL": url}).items():
            patch.setenv(name, value)
        with opened(with_driver(url)) as database:
            names = furnish(database, cli_in(folder, patch), there)
        made = House(postgres_server_url, url, names, folder)
        with made.copy() as copied:
            patch.setenv("DATABASE_URL", copied)
            yield made


@pytest.fixture
def pipe(house: House, monkeypatch: pytest.MonkeyPatch) -> Cli:
    return cli_in(house.folder, monkeypatch)


@pytest.fixture
def screen(house: House, _terminal_server: "subprocess.Popen[str]") -> Terminal:
    return Terminal(_terminal_server, house.folder)


@pytest.fixture
def untouched(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A copy of the database, and no files of settings."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with house.copy() as url:
        monkeypatch.setenv("DATABASE_URL", url)
        yield


@pytest.fixture(scope="module")
def old_schema(house: House) -> Iterator[str]:
    with house.copy() as url:
        downgrade(url, "0001")
        yield url


def test_every_command_is_here() -> None:
    tried = {leaf_of(each) for each in (*READING, *CHANGING, *SCREENS)}

    assert tried | set(ELSEWHERE) == set(LEAVES)


def test_what_is_said_to_print_json_is_a_command() -> None:
    said = {name for thing in THINGS for name in (*thing.listed_by, *thing.told_by)}

    assert {f"automagik {name}" for name in said} <= set(LEAVES)


@pytest.mark.parametrize("invocation", READING, ids=str)
def test_each_line_has_the_same_cells(house: House, pipe: Cli, invocation: Invocation) -> None:
    words = house.words(invocation)
    plain = pipe(*words)

    assert_ended(plain, invocation)
    if invocation.is_text:
        return
    assert_even([line.split("\t") for line in lines_of(plain.stdout)])
    if "csv" not in invocation.refused:
        assert_even(rows_of(pipe(*words, "-o", "csv").stdout))


@pytest.mark.parametrize("invocation", READING, ids=str)
def test_json_is_what_its_schema_says(house: House, pipe: Cli, invocation: Invocation) -> None:
    words = house.words(invocation)
    if not invocation.has_shapes:
        assert_ended(pipe(*words, "-o", "json"), invocation)
        return
    lines = pipe(*words, "-o", "jsonl")

    assert_ended(lines, invocation)
    for line in lines_of(lines.stdout):
        thing_in(json.loads(line), invocation)
    for shape, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        whole = pipe(*words, "-o", shape)
        if shape in invocation.refused:
            assert_error(whole, 2)
        else:
            assert_ended(whole, invocation)
            things_in(read(whole.stdout), invocation)


@pytest.mark.parametrize("invocation", READING, ids=str)
def test_each_field_can_be_chosen(house: House, pipe: Cli, invocation: Invocation) -> None:
    if not (invocation.has_shapes and invocation.has_fields) or "json" in invocation.refused:
        return
    words = house.words(invocation)
    document = pipe(*words, "-o", "json").json
    keys = fields_of(document)
    if not keys:
        return
    chosen = pipe(*words, "-o", "json", "--fields", ",".join(keys))

    assert_ended(chosen, invocation)
    assert fields_of(chosen.json) == keys
    assert_error(pipe(*words, "-o", "json", "--fields", "nonsense"), 2)


@pytest.mark.parametrize("invocation", READING, ids=str)
def test_other_shapes(house: House, pipe: Cli, invocation: Invocation) -> None:
    words = house.words(invocation)
    for shape in ("wide", "name"):
        if shape not in invocation.refused:
            shown = pipe(*words, "-o", shape)
            assert_ended(shown, invocation)
            assert "" not in lines_of(shown.stdout) or shape != "name" or invocation.is_text
    quiet = pipe(*words, "-q")
    assert_ended(quiet, invocation)
    assert not quiet.stderr or invocation.exit_code


@pytest.mark.parametrize(
    "noun", ["sources", "flows", "schedules", "calendars", "tasks", "backfills"]
)
def test_names_of_a_list_can_be_shown(pipe: Cli, noun: str) -> None:
    names = [
        name for name in pipe(noun, "list", "-o", "name").stdout.splitlines() if "\x1b" not in name
    ]

    assert names
    for name in names:
        assert pipe(noun, "show", name).exit_code == 0


@pytest.mark.usefixtures("untouched")
def test_changes_in_a_pipe(house: House, pipe: Cli) -> None:
    for invocation in CHANGING:
        done = pipe(*house.words(invocation), "-o", "json")

        assert_ended(done, invocation)
        if done.stdout:
            things_in(done.json, invocation)


@pytest.mark.usefixtures("untouched")
def test_changes_on_a_terminal(house: House, screen: Terminal) -> None:
    for invocation in CHANGING:
        assert_shown(screen(*house.words(invocation)), invocation)


@pytest.mark.parametrize("invocation", [*READING, *SCREENS], ids=str)
def test_on_a_terminal(house: House, screen: Terminal, invocation: Invocation) -> None:
    assert_shown(screen(*house.words(invocation), keys=invocation.keys), invocation)


@pytest.mark.parametrize("invocation", first_of_each([*READING, *SCREENS]), ids=str)
def test_on_a_large_terminal(house: House, screen: Terminal, invocation: Invocation) -> None:
    shown = screen(*house.words(invocation), columns=200, rows=50, keys=invocation.keys)

    assert_shown(shown, invocation)


@pytest.mark.parametrize("invocation", STEERED, ids=str)
@pytest.mark.parametrize("shape", ["tsv", "csv", "jsonl"])
def test_shapes_for_programs_on_a_terminal(
    house: House, screen: Terminal, invocation: Invocation, shape: str
) -> None:
    assert_shown(screen(*house.words(invocation), "-o", shape), invocation)


@pytest.mark.parametrize("shape", [(), ("-o", "json")], ids=str)
@pytest.mark.parametrize("leaf", LEAVES)
def test_an_unknown_option_is_refused(pipe: Cli, leaf: str, shape: Sequence[str]) -> None:
    assert_error(pipe(*leaf.split()[1:], "--nonsense", *shape), 2)


@pytest.mark.parametrize("words, exit_code", UNKNOWN, ids=str)
def test_what_is_not_there_is_said(pipe: Cli, words: str, exit_code: int) -> None:
    assert_error(pipe(*shlex.split(words)), exit_code)


@pytest.mark.parametrize("invocation", NEEDING_DATA, ids=str)
def test_without_a_database_it_is_said(
    house: House, pipe: Cli, invocation: Invocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    assert_error(pipe(*house.words(invocation)), 2)

    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/nothing")
    assert_error(pipe(*house.words(invocation), "-o", "json"), 5)


@pytest.mark.parametrize("invocation", NEEDING_DATA, ids=str)
def test_an_old_schema_is_refused(
    house: House,
    pipe: Cli,
    invocation: Invocation,
    old_schema: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", old_schema)
    if not leaf_of(invocation).startswith(ANY_SCHEMA):
        assert_error(pipe(*house.words(invocation)), 6)


def assert_ended(done: Result, invocation: Invocation) -> None:
    assert done.exit_code == invocation.exit_code, done.stderr
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
    assert not unprintable(done.stderr)


def assert_shown(shown: Shown, invocation: Invocation) -> None:
    assert shown.exit_code == invocation.exit_code, shown.text
    assert "Traceback" not in shown.text
    if not invocation.keys:
        assert not unprintable(_OURS.sub("", shown.raw))
    for begun in _ID_BEGINS.finditer(shown.text):
        assert _UUID.match(shown.text, begun.start()), shown.text[begun.start() :][:60]


def assert_error(done: Result, exit_code: int) -> None:
    assert done.exit_code == exit_code, done.stderr
    assert not done.stdout
    assert "Traceback" not in done.stderr
    if "{\n" in done.stderr:
        _VALIDATORS[PROBLEM.name].validate(json.loads(done.stderr[done.stderr.index("{\n") :]))
        return
    *_, what, hint = done.stderr.splitlines()
    assert re.fullmatch(r"✗ .+  \(AM-[A-Z-]+\)", what)
    assert hint.startswith("  ")


def assert_even(rows: Sequence[Sequence[str]]) -> None:
    assert len({len(row) for row in rows}) <= 1, rows


def fields_of(document: Any) -> list[str]:
    """In alphabetical order; none of an empty list."""
    items = document["items"] if set(document) == ENVELOPE else [document]
    return sorted(set().union(*items) - {"schema_version"})


def lines_of(text: str) -> list[str]:
    """By line feeds alone: other ends of lines may be in the data."""
    return text.removesuffix("\n").split("\n") if text else []


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def unprintable(text: str) -> list[str]:
    """What would steer a terminal."""
    return [c for c in text if (category(c) == "Cc" and c not in "\n\t") or c in _TURNS]


def things_in(document: Any, invocation: Invocation) -> None:
    if set(document) == ENVELOPE:
        _VALIDATORS[LIST.name].validate(document)
        for item in document["items"]:
            thing_in(item, invocation)
    else:
        thing_in(document, invocation)


def thing_in(item: dict[str, Any], invocation: Invocation) -> None:
    """One of those that the command is said to print."""
    command = leaf_of(invocation).removeprefix("automagik ")
    wrong = {}
    for thing in THINGS:
        if command in (*thing.listed_by, *thing.told_by):
            errors = [each.message for each in _VALIDATORS[thing.name].iter_errors(item)]
            if not errors:
                return
            wrong[thing.name] = errors[:3]
    raise AssertionError(wrong)
