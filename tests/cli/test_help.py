"""`automagik help`: commands, topics, errors, settings, and all of it for programs."""

import pkgutil
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module

import pytest

import automagik.core
from automagik.cli import texts
from automagik.cli.cli import ENTRIES
from automagik.cli.command_tree import CommandHelp, command_tree, walk
from automagik.cli.error_guide import error_guide
from automagik.cli.man_page import man_page
from automagik.cli.policy_options import PolicyOptions
from automagik.cli.settings_guide import settings_guide
from automagik.cli.texts import TOPICS
from automagik.core.config import Settings
from automagik.core.exceptions import AutomagikError
from automagik.core.scheduler.policies import CatchUpOrder, Misfire, Overlap
from automagik.core.tasks.outcome import WORKER_LOST
from tests.cli.command_line import Cli
from tests.cli.terminal import Terminal

TREE = command_tree()
COMMANDS = {command.path: command for command in walk(TREE)}
GUIDE = error_guide()
TEXTS = ["error-codes", "exit-codes", "environment", "formatting", "schedules"]


def kinds(kind: type[AutomagikError]) -> Iterator[type[AutomagikError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from kinds(child)


def test_help_alone_is_the_help_of_all_and_the_topics(offline_cli: Cli) -> None:
    alone = offline_cli("help").stdout

    assert alone.startswith(offline_cli("--help").stdout)
    assert all(topic in alone for topic in TOPICS)


@pytest.mark.parametrize("words", ["tasks list", "tasks", "up", "task list", "db prune"])
def test_help_of_a_command_is_its_own_help(offline_cli: Cli, words: str) -> None:
    asked = offline_cli("help", *words.split())

    assert (asked.exit_code, asked.stderr) == (0, "")
    assert asked.stdout == offline_cli(*words.split(), "--help").stdout


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_is_a_text_for_eighty_columns(offline_cli: Cli, topic: str) -> None:
    result = offline_cli("help", topic, "-o", "table" if topic == "errors" else "tsv")
    assert (result.exit_code, bool(result.stdout)) == (0, True)
    if topic in TEXTS:
        assert max(map(len, texts.read(topic).splitlines())) <= 82


def test_what_is_longer_than_the_terminal_goes_through_the_pager(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOMAGIK_PAGER", "sed s/^/:/")

    assert terminal("help", "schedules").text.startswith(":# Schedules")
    assert terminal("help", "schedules", rows=99).text.startswith("# Schedules")
    assert terminal("help", "schedules", "--no-pager").text.startswith("# Schedules")


@pytest.mark.parametrize(
    "words, suggestion",
    [
        ("exitcodes", "Did you mean exit-codes"),
        ("shedules", "Did you mean schedules"),
        ("tasks lst", "Did you mean 'list'"),
        ("status all", "has no commands"),
        ("zzz", "automagik help"),
    ],
)
def test_an_unknown_topic_ends_with_2_and_what_is_near(
    offline_cli: Cli, words: str, suggestion: str
) -> None:
    result = offline_cli("help", *words.split())

    assert (result.exit_code, result.stdout) == (2, "")
    assert suggestion in result.stderr


def test_every_error_of_the_code_is_explained() -> None:
    for module in pkgutil.walk_packages(automagik.core.__path__, "automagik.core."):
        import_module(module.name)
    by_code = {kind.code: kind for kind in kinds(AutomagikError)}

    assert set(GUIDE) == {*by_code, WORKER_LOST}
    for code, help_ in GUIDE.items():
        assert help_.meaning, code
        assert help_.causes, code
        assert help_.remedies, code
    assert {code for code in GUIDE if GUIDE[code].exit_code is None} == {WORKER_LOST}


@pytest.mark.parametrize("code", ["AM-SRC-KEY", "am-src-key", "src-key"])
def test_an_error_is_explained_by_its_code(offline_cli: Cli, code: str) -> None:
    result = offline_cli("help", "error", code)

    assert result.stdout.startswith("AM-SRC-KEY · exit code 4\nThe source refuses the API key.\n")
    assert "What to do:" in result.stdout


def test_an_unknown_code_names_the_nearest(offline_cli: Cli) -> None:
    result = offline_cli("help", "error", "AM-SRC-KEI")

    assert result.exit_code == 3
    assert "Did you mean AM-SRC-KEY?" in result.stderr


def test_every_setting_is_explained(offline_cli: Cli) -> None:
    guide = settings_guide()
    text = offline_cli("help", "environment").stdout

    assert {each.key for each in guide} == set(Settings.model_fields)
    assert [each.name for each in guide if not each.meaning] == []
    assert all(each.name in text and each.meaning in text for each in guide)
    [seconds] = [each for each in guide if each.key == "lease_seconds"]
    assert (seconds.name, seconds.default) == ("AUTOMAGIK_LEASE_SECONDS", 30)


def test_no_default_depends_on_who_asks() -> None:
    """The reference would be another one on each machine."""
    assert {each.default for each in settings_guide() if each.key == "home"} == {None}


def test_formatting_tells_of_every_option_that_all_commands_have() -> None:
    text = texts.read("formatting")
    others = {"--version", "--profile"}
    shared = [option.names for option in TREE.options if option.names[0] not in others]

    assert [names for names in shared if not any(name in text for name in names)] == []


def test_exit_codes_are_those_of_the_errors() -> None:
    listed = set(re.findall(r"^    (\d+) ", texts.read("exit-codes"), re.MULTILINE))

    assert listed == {str(kind.exit_code) for kind in kinds(AutomagikError)} | {"0", "130"}


def test_schedules_tells_of_every_policy() -> None:
    text = texts.read("schedules")
    options = [f"--{field.name.replace('_', '-')}" for field in fields(PolicyOptions)]

    assert [option for option in options if option not in text] == []
    assert [
        word for kind in (Overlap, Misfire, CatchUpOrder) for word in kind if word not in text
    ] == []


def said() -> Iterator[str]:
    """Every command in texts and examples."""
    for name in TEXTS:
        # What is wrapped goes on, indented by two.
        whole = re.sub(r"\n  (?=\S)", " ", texts.read(name))
        yield from re.findall(r"automagik [a-z][^\n,;`)|]*", whole)
    for command in COMMANDS.values():
        yield from command.examples


def test_every_command_that_a_text_names_exists() -> None:
    for line in said():
        words = shlex.split(line.replace("'", ""), comments=True)
        path = _longest_path(words)
        assert path != "automagik" or words[1].startswith("-") or not words[1].isalpha(), line
        known = {name for option in _options(COMMANDS[path]) for name in option}
        used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert used <= known | {"-n"}, line


def _longest_path(words: list[str]) -> str:
    for length in range(len(words), 0, -1):
        path = " ".join(words[:length])
        if path in COMMANDS:
            return path
    raise AssertionError(words)


def _options(command: CommandHelp) -> Iterator[tuple[str, ...]]:
    yield ("--help", "-h")
    for each in (*command.options, *TREE.options):
        yield tuple(each.names)


def test_for_programs_there_is_the_whole_tree(offline_cli: Cli) -> None:
    tree = offline_cli("help", "--json").json

    assert tree["schema_version"] == 1
    assert [command["path"] for command in tree["commands"]] == [f"automagik {e}" for e in ENTRIES]
    [tasks] = [each for each in tree["commands"] if each["path"] == "automagik tasks"]
    [found] = [each for each in tasks["commands"] if each["path"] == "automagik tasks list"]
    options = {option["names"][0]: option for option in found["options"]}
    assert found["summary"] == "List tasks, the newest first."
    assert found["examples"][0].startswith("automagik tasks list ")
    assert options["--limit"]["type"] == "integer"
    assert options["--limit"]["default"] == 50
    assert options["--limit"]["names"] == ["--limit", "-n"]
    assert options["--state"]["is_repeatable"]
    assert "--output" not in options


def test_every_command_has_a_sentence_and_an_example() -> None:
    for command in COMMANDS.values():
        assert re.fullmatch(r"[A-Z][^\n]*\.", command.summary), command.path
        assert command.commands or command.examples, command.path
        assert all(each.help for each in (*command.arguments, *command.options)), command.path


def test_a_command_alone_can_be_had_for_programs(offline_cli: Cli) -> None:
    found = offline_cli("help", "flows", "run", "-o", "json").json

    assert found["path"] == "automagik flows run"
    assert [argument["is_required"] for argument in found["arguments"]] == [True]


@pytest.mark.parametrize("words", ["errors", "environment", "error AM-DB", "exit-codes"])
def test_topics_can_be_had_for_programs(offline_cli: Cli, words: str) -> None:
    assert offline_cli("help", *words.split(), "--json").json["schema_version"] == 1


def test_the_page_for_man_has_its_sections_and_every_command(offline_cli: Cli) -> None:
    page = offline_cli("help", "--man").stdout
    lines = page.splitlines()

    assert lines[0].startswith(".TH AUTOMAGIK 1 ")
    assert [line[4:] for line in lines if line.startswith(".SH ")] == [
        "NAME",
        "SYNOPSIS",
        "OPTIONS",
        "COMMANDS",
        "EXIT STATUS",
        "ENVIRONMENT",
        "EXAMPLES",
    ]
    assert page.isascii()
    leaves = [path for path, command in COMMANDS.items() if not command.commands]
    assert [path for path in leaves if f'.SS "{path}'.replace("-", "\\-") not in page] == []
    macros = {line.split()[0] for line in lines if line.startswith((".", "'"))}
    assert macros <= {".TH", ".SH", ".SS", ".B", ".PP", ".TP", ".nf", ".fi"}


def test_groff_has_nothing_to_say_against_the_page() -> None:
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("there is no groff here")
    done = subprocess.run(
        [groff, "-ww", "-man", "-Tutf8"],
        input=man_page(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "automagik tasks list" in done.stdout
