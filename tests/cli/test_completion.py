"""Completion: what a shell offers, where the names come from, and what happens without them."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from automagik.cli.cli import ENTRIES, load
from automagik.cli.completion import LINE, Shell, script
from automagik.core.config import Settings
from automagik.core.database.models import CalendarRow
from automagik.core.database.session import Database
from automagik.core.tasks.states import TaskState
from tests.cli.command_line import Cli
from tests.core.records import add_task, add_worker, rows
from tests.core.tasks.rows import add_flow, add_schedule

NAMED = {
    *("FLOW", "[FLOW]…", "SCHEDULE", "SOURCE", "QUEUE", "WORKER"),
    *("PROFILE", "STATE,…", "STATUS,…", "[SCHEDULE]…", "TYPE", "CODE"),
    *("LEVEL", "ZONE", "FILE|-", "FILE.ics|-"),
}
"""What stands for a word that can be completed; a new option with one of them needs it, too."""

Ask = Callable[[str], list[str]]


@pytest.fixture
def database(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    opened = Database(settings.require_database_url())
    yield opened
    opened.dispose()


@pytest.fixture
def offered(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """The words that may end this line."""
    return asking(cli, monkeypatch)


@pytest.fixture
def offered_offline(offline_cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """The same where no server is known."""
    return asking(offline_cli, monkeypatch)


def asking(cli: Cli, patch: pytest.MonkeyPatch) -> Ask:
    def ask(line: str) -> list[str]:
        patch.setenv(LINE, line)
        result = cli()
        assert (result.exit_code, result.stderr) == (0, "")
        return [each.partition("\t")[0] for each in result.stdout.splitlines()]

    return ask


def leaves(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, child in getattr(command, "commands", {}).items():
        yield from leaves(child, f"{path} {name}")
    if not hasattr(command, "commands"):
        yield path, command


@pytest.mark.parametrize(
    "line, words",
    [
        ("automagik fl", ["flows"]),
        ("automagik flow sh", ["show"]),
        ("automagik tasks list --st", ["--state"]),
        ("automagik tasks list -o js", ["json", "jsonl"]),
        ("automagik tasks list --output=js", ["json", "jsonl"]),
        ("automagik tasks list --state failed,c", ["failed,completed", "failed,cancelled"]),
        ("automagik schedules list --status paused,a", ["paused,active"]),
        ("automagik schedules create x --type o", ["oneshot"]),
        ("automagik schedules create x --type a", []),
        ("automagik schedules update x --unset quiet", ["quiet-hours"]),
        ("automagik schedules update x --unset lab", ["label", "label:"]),
        ("automagik flows update x --unset que", ["queue"]),
        ("automagik schedules create x --overlap b", ["buffer-one", "buffer-all"]),
        ("automagik schedules create x --timezone Europe/Berl", ["Europe/Berlin"]),
        ("automagik tasks list --error-code AM-SRC-T", ["AM-SRC-TIMEOUT", "AM-SRC-TLS"]),
        ("automagik tasks logs x --level w", ["warning"]),
        ("automagik config get time", ["timezone"]),
        ("automagik --profile p", ["prod"]),
        ("automagik help ex", ["exit-codes"]),
        ("automagik help tasks e", ["export"]),
        ("automagik help error AM-DB-F", ["AM-DB-FULL"]),
        ("automagik completion ", ["bash", "zsh", "fish"]),
        ("automagik calendars import de holi", [":files"]),
        ("automagik --version fl", ["flows"]),
        ("automagik sources add x ", []),
        ("", []),
    ],
)
def test_words_that_are_known_without_a_database(
    offered_offline: Ask, tmp_path: Path, line: str, words: list[str]
) -> None:
    (tmp_path / "automagik.toml").write_text("[profiles.prod]\n")

    assert offered_offline(line) == words


def test_commands_stand_with_what_they_do(
    offline_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LINE, "automagik ")
    lines = offline_cli().stdout.splitlines()

    assert f"flows\t{ENTRIES['flows'].summary}" in lines
    assert [line.partition("\t")[0] for line in lines] == list(ENTRIES)


NAMES = {
    "automagik flows show Da": "Daily report",
    "automagik flows run ": "Daily report",
    "automagik flows sync x ": "Daily report",
    "automagik tasks list --flow ": "Daily report",
    "automagik flows list --source so": "source of Daily report",
    "automagik sources show ": "source of Daily report",
    "automagik schedules pause ": "daily",
    "automagik tasks list --schedule=d": "daily",
    "automagik calendars show ": "de",
    "automagik schedules create x --calendar ": "de",
    "automagik queues pause g": "gpu",
    "automagik flows run x --queue ": "gpu",
    "automagik tasks list --worker ": "worker@here",
    "automagik tasks show @": "@last",
    "automagik schedules show @": "@last",
    "automagik workers show ": "worker@here",
    "automagik queues show ": "gpu",
}


def test_names_come_from_the_database(offered: Ask, database: Database) -> None:
    add_schedule(database, add_flow(database, "Daily report"), "daily")
    add_worker(database, queues=["gpu"])
    with database.transaction() as connection:
        connection.execute(insert(CalendarRow).values(name="de"))

    assert [line for line, name in NAMES.items() if name not in offered(line)] == []


def test_a_name_in_quotes_is_completed_behind_its_blank(offered: Ask, database: Database) -> None:
    add_flow(database, "Daily report")

    assert offered('automagik flows show "Daily ') == ["Daily report"]
    assert offered("automagik flows show Daily\\ re") == ["Daily report"]


def test_a_name_that_two_sources_have_stands_with_its_source(
    offered: Ask, database: Database
) -> None:
    add_flow(database, "greeter")
    other = add_flow(database, "other")
    rows(
        database,
        "UPDATE flows SET name = 'greeter' WHERE id = :id RETURNING id",
        id=other.id,
    )

    assert offered("automagik flows show ") == [
        "source of greeter/greeter",
        "source of other/greeter",
    ]


def test_of_tasks_the_newest_fifty_are_offered_with_state_and_flow(
    cli: Cli, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = add_flow(database)
    ids = [add_task(database, flow, state=TaskState.PENDING) for _ in range(51)]
    monkeypatch.setenv(LINE, "automagik tasks cancel ")
    last, *lines = cli().stdout.splitlines()

    assert last.startswith("@last\t")
    assert lines == [f"{task_id}\tpending, greeter" for task_id in reversed(ids[1:])]


def test_names_are_kept_for_nobody_else_to_read(
    offered: Ask, database: Database, tmp_path: Path
) -> None:
    add_flow(database)
    offered("automagik flows show ")
    [kept] = (tmp_path / "cache" / "automagik" / "completion").iterdir()

    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert kept.read_text() == '[["greeter", "of source of greeter"]]'


def test_what_is_kept_counts_until_it_is_old_or_does_not_fit(
    offered: Ask, database: Database, tmp_path: Path
) -> None:
    add_flow(database, "alpha")
    offered("automagik flows show ")
    add_flow(database, "beta")

    assert offered("automagik flows show ") == ["alpha"]
    assert offered("automagik flows show b") == ["beta"]

    add_flow(database, "gamma")
    [kept] = (tmp_path / "cache" / "automagik" / "completion").iterdir()
    os.utime(kept, (0, 0))
    assert offered("automagik flows show ") == ["alpha", "beta", "gamma"]


def test_a_broken_file_is_as_good_as_none(offered: Ask, database: Database, tmp_path: Path) -> None:
    add_flow(database)
    offered("automagik flows show ")
    [kept] = (tmp_path / "cache" / "automagik" / "completion").iterdir()

    for content in ("", "{", "[1]", '{"a": 1}', "null"):
        kept.write_text(content)
        assert offered("automagik flows show ") == ["greeter"]


def test_where_nothing_can_be_kept_names_are_offered_all_the_same(
    offered: Ask, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_flow(database)
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)

    assert offered("automagik flows show ") == ["greeter"]


@pytest.mark.parametrize("url", [None, "nonsense", "postgresql://127.0.0.1:1/none"])
def test_without_a_database_nothing_is_offered_and_nothing_said(
    offered_offline: Ask, monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    if url:
        monkeypatch.setenv("DATABASE_URL", url)

    assert offered_offline("automagik flows show ") == []


@pytest.mark.parametrize("entry", ENTRIES)
def test_whatever_takes_a_name_completes_it(entry: str) -> None:
    parameters = [
        (path, parameter)
        for path, command in leaves(load(entry), entry)
        for parameter in command.params
    ]
    lacking = [
        (path, parameter.name)
        for path, parameter in parameters
        if parameter.metavar in NAMED and parameter._custom_shell_complete is None
    ]

    assert lacking == []


@pytest.mark.parametrize("shell", Shell)
def test_the_command_prints_the_script_of_the_shell(offline_cli: Cli, shell: Shell) -> None:
    result = offline_cli("completion", shell)

    assert (result.exit_code, result.stdout) == (0, script(shell))
    assert LINE in result.stdout


def test_there_is_no_second_way_to_install_completion(offline_cli: Cli) -> None:
    assert "completion" not in offline_cli("--help").stdout.partition("Run:")[0]
    assert offline_cli("--install-completion").exit_code == 2


def in_shell(shell: str, commands: str) -> list[str]:
    """The lines that commands print in a real shell, where `automagik` is the one here."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} here")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    function = f'automagik() {{ "{sys.executable}" -m automagik "$@"; }}\n'
    if shell == "fish":
        function = f'function automagik; "{sys.executable}" -m automagik $argv; end\n'
    done = subprocess.run(
        [program, "-c", function + commands],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": path},
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


ASK_BASH = """
eval "$(automagik completion bash)"
ask() {
    COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2))
    _automagik automagik
    printf '%s|' "${COMPREPLY[@]}"
    echo
}
"""


def test_bash_quotes_names_and_replaces_only_its_own_piece_of_a_word(database: Database) -> None:
    add_flow(database, "Daily report")
    add_flow(database, "team:report")
    asked = """
ask "automagik flows show D" automagik flows show D
ask 'automagik flows show "Daily ' automagik flows show '"Daily '
ask "automagik flows show team:r" automagik flows show team : r
ask "automagik tasks list --output=jsonl" automagik tasks list --output = jsonl
ask "automagik tasks why @" automagik tasks why @
"""

    assert in_shell("bash", ASK_BASH + asked) == [
        "Daily\\ report|",
        "Daily report|",
        "report|",
        "jsonl|",
        "last|",
    ]


def test_fish_gets_whole_words_with_what_they_are(database: Database) -> None:
    add_flow(database, "Daily report")
    asked = """
automagik completion fish | source
complete -C "automagik flows show D"
complete -C "automagik tasks list --output=jsonl"
"""

    assert in_shell("fish", asked) == [
        "Daily report\tof source of Daily report",
        "--output=jsonl",
    ]


def test_zsh_reads_the_script() -> None:
    asked = """
compdef() { echo "$@"; }
eval "$(automagik completion zsh)"
whence -w _automagik
"""

    assert in_shell("zsh", asked) == ["_automagik automagik", "_automagik: function"]
