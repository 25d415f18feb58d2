"""One grammar: what an option is called, and means, is the same for every command."""

from collections import defaultdict

import pytest

from automagik.cli.command_tree import CommandHelp, Parameter, command_tree, walk

TREE = command_tree()
GROUPS = {each.path.split()[-1]: each for each in TREE.commands if each.commands}
LEAVES = [each for each in walk(TREE) if not each.commands]
NOT_DELETED = {"config"}
"""Their `delete` is called otherwise."""


def options(command: CommandHelp) -> dict[str, Parameter]:
    return {name: each for each in command.options for name in each.names}


def with_option(name: str) -> list[CommandHelp]:
    return [each for each in LEAVES if name in options(each)]


def test_a_short_option_means_one_thing() -> None:
    meanings: defaultdict[str, set[str]] = defaultdict(set)
    for command in (*LEAVES, TREE):
        for option in command.options:
            [long, *_] = [name for name in option.names if name.startswith("--")]
            for short in (name for name in option.names if not name.startswith("--")):
                meanings[short].add(long)

    several = {short: found for short, found in meanings.items() if len(found) > 1}
    # As in kubectl, where nobody takes one for the other: `logs -f` and `apply -f`.
    assert several == {"-f": {"--follow", "--file"}}
    assert meanings["-s"] == {"--state"}


def test_how_many_is_always_limit() -> None:
    assert {tuple(options(each)["-n"].names) for each in with_option("-n")} == {("--limit", "-n")}
    assert with_option("--count") == []
    assert with_option("--limit") == with_option("-n")


def test_whatever_waits_can_stop_waiting() -> None:
    waiting = {each.path for each in with_option("--wait")}

    assert waiting == {each.path for each in with_option("--wait-timeout")}
    assert waiting == {
        "automagik flows run",
        "automagik schedules backfill",
        "automagik schedules trigger",
        "automagik tasks replay",
    }


@pytest.mark.parametrize("name, metavar", [("--note", "TEXT"), ("--since", "TIME")])
def test_an_option_takes_the_same_everywhere(name: str, metavar: str) -> None:
    assert {options(each)[name].metavar for each in with_option(name)} == {metavar}


@pytest.mark.parametrize("name", ["--state", "--status", "--input", "--label", "--unset"])
def test_what_can_be_said_several_times_can_be_so_everywhere(name: str) -> None:
    assert all(options(each)[name].is_repeatable for each in with_option(name))


@pytest.mark.parametrize("group", [name for name in GROUPS if name not in NOT_DELETED])
def test_what_is_listed_can_be_shown(group: str) -> None:
    verbs = {each.path.split()[-1] for each in GROUPS[group].commands}

    assert "list" not in verbs or "show" in verbs


@pytest.mark.parametrize("verb", ["delete", "prune"])
def test_what_deletes_can_be_tried_and_needs_no_person(verb: str) -> None:
    found = [each for each in LEAVES if each.path.endswith(f" {verb}")]

    assert found
    for command in found:
        assert {"--dry-run", "--yes"} <= options(command).keys(), command.path


def test_lists_that_change_by_themselves_can_be_watched() -> None:
    assert {each.path for each in with_option("--watch")} == {
        f"automagik {noun} list" for noun in ("queues", "schedules", "tasks", "workers")
    }
