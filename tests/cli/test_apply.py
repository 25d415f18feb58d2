"""`automagik apply` and `automagik schedules export`, as a person types them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from automagik.core.config import Settings
from automagik.core.flows.values import Flow
from automagik.demo.server import DemoServer
from tests.cli.command_line import Cli
from tests.core.records import opened, rows
from tests.core.scheduler.stored import add_flow

CANARY = "sk-canary-0123456789"
OFFICE = """
project: shop
calendars:
  de:
    days:
      2035-12-25: Christmas
schedules:
  office:
    flow: Echo
    cron: 0 9 * * 1-5
    calendar: de
"""


@pytest.fixture
def echo(settings: Settings) -> Iterator[Flow]:
    with opened(settings.require_database_url()) as database:
        yield add_flow(database)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "automagik.yaml"
    path.write_text(OFFICE)
    return path


def test_a_plan_is_shown_and_applied_once(cli: Cli, echo: Flow, file: Path) -> None:
    dry = cli("apply", "--file", file.name, "--dry-run", "-o", "table")
    untouched = cli("schedules", "list")
    done = cli("apply", "--file", file.name)
    again = cli("apply", "--file", file.name)

    assert (dry.exit_code, untouched.stdout) == (0, "")
    assert dry.stdout.splitlines() == [
        "+ calendar de",
        "    days.2035-12-25: Christmas",
        "+ schedule office",
        "    flow: Echo",
        "    cron: 0 9 * * 1-5",
        "    timezone: UTC",
        "    calendar: de",
    ]
    assert dry.stderr == "2 to create; 0 unchanged.\n"
    assert [line[:3] for line in done.lines] == [
        ["create", "calendar", "de"],
        ["create", "schedule", "office"],
    ]
    assert done.stderr.splitlines()[-1] == "✓ Applied: 2 created."
    assert (again.exit_code, again.stdout) == (0, "")
    assert "Nothing to do: 2 unchanged." in again.stderr


def test_a_change_is_told_key_by_key(cli: Cli, echo: Flow, file: Path) -> None:
    cli("apply", "--file", file.name)
    file.write_text(OFFICE.replace("0 9", "0 8").replace("    calendar: de\n", ""))

    shown = cli("apply", "--file", file.name, "-o", "table")
    asked = cli("apply", "--file", file.name, "-o", "json")

    assert shown.stdout.splitlines() == [
        "~ schedule office",
        "    cron: 0 9 * * 1-5 → 0 8 * * 1-5",
        "    calendar: de → (unset)",
    ]
    assert asked.items == []


def test_a_deletion_needs_to_be_confirmed(cli: Cli, echo: Flow, file: Path) -> None:
    cli("apply", "--file", file.name)

    unasked = cli("apply", "--file", "-", "--prune", input="project: shop\n")
    dry = cli("apply", "--file", "-", "--prune", "--dry-run", input="project: shop\n")
    done = cli("apply", "--file", "-", "--prune", "--yes", "-o", "json", input="project: shop\n")

    assert (unasked.exit_code, "--yes" in unasked.stderr) == (2, True)
    assert dry.exit_code == 0
    assert [(item["action"], item["name"]) for item in done.items] == [
        ("delete", "de"),
        ("delete", "office"),
    ]
    assert cli("schedules", "list").stdout == ""


def test_what_is_wrong_is_told_by_file_and_line(cli: Cli, echo: Flow, file: Path) -> None:
    file.write_text(OFFICE.replace("0 9", "0 99").replace("calendar: de", "kalendar: de"))
    refused = cli("apply", "--file", file.name)

    assert refused.exit_code == 2
    assert "automagik.yaml:10: schedules.office.cron: " in refused.stderr
    assert "automagik.yaml:11: schedules.office.kalendar: is no key here" in refused.stderr
    assert "did you mean calendar?" in refused.stderr


def test_files_are_checked_without_a_database_as_far_as_that_goes(
    offline_cli: Cli, file: Path
) -> None:
    assert "DATABASE_URL" in offline_cli("apply", "--file", file.name).stderr
    file.write_text(OFFICE.replace("0 9", "0 99"))
    assert "schedules.office.cron" in offline_cli("apply", "--file", file.name).stderr


@pytest.mark.parametrize("words", [("--file", "nowhere.yaml"), ()])
def test_a_file_that_is_not_there_is_a_usage_error(cli: Cli, words: tuple[str, ...]) -> None:
    assert cli("apply", *words).exit_code == 2


def test_an_export_is_applied_as_it_stands(cli: Cli, echo: Flow, file: Path) -> None:
    cli("apply", "--file", file.name)
    exported = cli("schedules", "export", "office")
    file.write_text(exported.stdout.replace("---\ntimezone: UTC\nsources:", "---\nsources:", 1))

    assert "project: shop" in exported.stdout
    assert "cron: 0 9 * * 1-5" in exported.stdout
    applied = cli("apply", "--file", file.name, "--only", "schedules")
    assert "Nothing to do: 1 unchanged." in applied.stderr
    assert cli("schedules", "export", "--flow", "Echo").stdout == exported.stdout
    assert cli("schedules", "export", "nobody").exit_code == 3


def test_a_key_is_never_seen(cli: Cli, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with DemoServer(api_key=CANARY) as server:
        file.write_text(f"sources:\n  prod:\n    url: {server.url}\n    api-key: env:PROD_KEY\n")
        unset = cli("apply", "--file", file.name)
        monkeypatch.setenv("PROD_KEY", CANARY)
        dry = cli("apply", "--file", file.name, "--dry-run", "-o", "table")
        done = cli("apply", "--file", file.name, "-o", "json")
        written = cli("schedules", "export")
        file.write_text(file.read_text().replace("env:PROD_KEY", CANARY))
        inline = cli("apply", "--file", file.name)

    assert (unset.exit_code, dry.exit_code, done.exit_code, inline.exit_code) == (2, 0, 0, 2)
    assert "    api-key: (given)" in dry.stdout
    assert "api-key: env:NAME" in written.stderr
    assert "automagik.yaml:4: sources.prod.api-key" in inline.stderr
    for each in (unset, dry, done, written, inline):
        assert CANARY not in each.stdout + each.stderr


def test_a_new_address_does_not_get_the_stored_key(
    cli: Cli, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROD_KEY", CANARY)
    with DemoServer(api_key=CANARY) as server, DemoServer(api_key=CANARY) as moved:
        file.write_text(f"sources:\n  prod:\n    url: {server.url}\n    api-key: env:PROD_KEY\n")
        cli("apply", "--file", file.name)
        file.write_text(f"sources:\n  prod:\n    url: {moved.url}\n")
        refused = cli("apply", "--file", file.name)
        dry = cli("apply", "--file", file.name, "--dry-run", "-o", "json")
        where = cli("sources", "show", "prod", "-o", "json").json["url"]
        file.write_text(f"{file.read_text()}    api-key: env:PROD_KEY\n")
        done = cli("apply", "--file", file.name, "-o", "table")

        assert (refused.exit_code, dry.exit_code, done.exit_code) == (2, 2, 0)
        assert where == server.url
    assert "automagik.yaml:3: sources.prod.url: The API key of source 'prod'" in refused.stderr
    assert f"    url: {server.url} → {moved.url}" in done.stdout
    for each in (refused, dry, done):
        assert CANARY not in each.stdout + each.stderr


def test_pruning_needs_a_project(cli: Cli, echo: Flow, file: Path) -> None:
    file.write_text(OFFICE.replace("project: shop\n", ""))
    refused = cli("apply", "--file", file.name, "--prune", "--yes")

    assert refused.exit_code == 2
    assert "automagik.yaml:2: project: is missing" in refused.stderr


def test_an_export_says_what_it_leaves_out(cli: Cli, echo: Flow, settings: Settings) -> None:
    cli("schedules", "create", "Echo", "--name", "once", "--at", "2035-01-01T09:00")
    with opened(settings.require_database_url()) as database:
        rows(database, "UPDATE schedules SET expr = '2020-01-01T09:00:00+00:00' RETURNING id")
    exported = cli("schedules", "export")

    assert "once" not in exported.stdout
    assert "Left out, for no run of theirs is to come: once." in exported.stderr


def test_a_file_without_end_is_not_read_to_its_end(cli: Cli) -> None:
    refused = cli("apply", "--file", "/dev/zero")

    assert refused.exit_code == 2
    assert "/dev/zero is too large" in refused.stderr
