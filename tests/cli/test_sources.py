"""`automagik sources`: keys come in without being seen and are never shown again."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from automagik.core.config import Settings
from automagik.demo.server import DemoServer
from tests.cli.command_line import Cli, Result
from tests.core.records import opened, rows

CANARY = "sk-canary-0123456789"


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer(api_key=CANARY) as running:
        yield running


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    file = tmp_path / "key.txt"
    file.write_text(f"{CANARY}\n")
    return str(file)


@pytest.fixture
def added(cli: Cli, server: DemoServer, key_file: str) -> Result:
    """The source `prod`."""
    return cli("sources", "add", "prod", server.url, "--api-key-file", key_file, "-o", "json")


def test_add_shows_the_source_and_says_what_comes_next(added: Result, server: DemoServer) -> None:
    assert added.exit_code == 0, added.stderr
    assert added.json["schema_version"] == 1
    assert (added.json["name"], added.json["url"]) == ("prod", server.url)
    assert (added.json["version"], added.json["has_api_key"]) == ("1.13.0", True)
    assert "automagik flows sync --source prod" in added.stderr
    assert CANARY not in added.stdout + added.stderr


@pytest.mark.parametrize("how", [("--api-key-stdin",), ("--api-key-file", "-")])
def test_the_key_comes_from_stdin(how: tuple[str, ...], cli: Cli, server: DemoServer) -> None:
    result = cli("sources", "add", "prod", server.url, *how, input=f"{CANARY}\n")

    assert result.exit_code == 0, result.stderr


def test_the_key_comes_from_the_environment_when_it_belongs_to_that_server(
    cli: Cli, server: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGFLOW_API_KEY", CANARY)
    assert cli("sources", "add", "one", server.url).exit_code == 0

    monkeypatch.setenv("LANGFLOW_API_URL", "http://another.example.com")
    assert cli("sources", "add", "two", server.url).exit_code == 4


def test_the_key_is_no_option_value(cli: Cli, server: DemoServer) -> None:
    assert cli("sources", "add", "prod", server.url, "--api-key", CANARY).exit_code == 2


def test_a_person_is_asked_for_the_key_and_it_is_not_echoed(
    settings: Settings, server: DemoServer, tmp_path: Path
) -> None:
    seen = typed("sources", "add", "prod", server.url, folder=tmp_path)

    assert seen.startswith(b"API key")
    assert b"prod" in seen
    assert CANARY.encode() not in seen


def typed(*words: str, folder: Path) -> bytes:
    """All that a person sees who enters the key when asked."""
    terminal, other_end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "automagik", *words],
        cwd=folder,
        stdin=other_end,
        stdout=subprocess.PIPE,
        stderr=other_end,
        # Else the terminal of whoever runs the tests would be asked.
        start_new_session=True,
    )
    os.close(other_end)
    seen = b""
    # What is typed before the prompt is complete would be dropped.
    while not seen.endswith(b": "):
        seen += os.read(terminal, 1000)
    os.write(terminal, f"{CANARY}\n".encode())
    printed, _ = process.communicate(timeout=30)
    seen += os.read(terminal, 1000)
    os.close(terminal)
    assert process.returncode == 0, seen
    return seen + printed


@pytest.mark.parametrize("content", ["", "two words", "schlüssel"])
def test_what_is_no_key_is_refused(content: str, cli: Cli, server: DemoServer) -> None:
    result = cli("sources", "add", "prod", server.url, "--api-key-stdin", input=content)

    assert result.exit_code == 2
    assert "no API key" in result.stderr


def test_a_wrong_key_is_refused(cli: Cli, server: DemoServer) -> None:
    result = cli("sources", "add", "prod", server.url, "--api-key-stdin", input="sk-wrong")

    assert result.exit_code == 4
    assert "sk-wrong" not in result.stderr
    assert cli("sources", "list", "-o", "json").items == []


def test_an_unreachable_server_is_refused(cli: Cli, free_port: int, key_file: str) -> None:
    url = f"http://127.0.0.1:{free_port}"
    result = cli("sources", "add", "prod", url, "--api-key-file", key_file)

    assert result.exit_code == 5
    assert "AM-SRC-UNREACHABLE" in result.stderr


def test_list_says_what_to_do_when_there_is_none(cli: Cli) -> None:
    result = cli("sources", "list")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "automagik sources add" in result.stderr


def test_list_and_show_never_show_the_key(added: Result, cli: Cli) -> None:
    listed, shown = cli("sources", "list"), cli("source", "show", "prod", "-o", "json")

    assert listed.lines[0][:4] == ["prod", added.json["url"], "1.13.0", "true"]
    assert shown.json == added.json
    assert CANARY not in listed.stdout + shown.stdout


def test_the_source_of_the_environment_appears_by_itself(
    cli: Cli, server: DemoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGFLOW_API_URL", server.url)
    monkeypatch.setenv("LANGFLOW_API_KEY", CANARY)

    assert [s["name"] for s in cli("sources", "list", "-o", "json").items] == ["default"]
    assert cli("sources", "test").exit_code == 0


def test_a_source_of_the_environment_that_is_down_stops_no_list(
    added: Result, cli: Cli, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGFLOW_API_URL", f"http://127.0.0.1:{free_port}")
    result = cli("sources", "list", "-o", "json")

    assert [source["name"] for source in result.items] == [added.json["name"]]
    assert "LANGFLOW_API_URL" in result.stderr


def test_test_measures_and_its_exit_code_says_what_is_wrong(
    added: Result, cli: Cli, server: DemoServer
) -> None:
    good = cli("sources", "test", added.json["name"], "-o", "json")
    server.stop()
    bad = cli("sources", "test", added.json["name"], "-o", "json")

    assert (good.exit_code, bad.exit_code) == (0, 5)
    assert good.json["reachable"]
    assert good.json["key_valid"]
    assert good.json["flows"] == 4
    assert 0 < good.json["latency_seconds"] < 5
    assert not bad.json["reachable"]
    assert bad.json["error"]["code"] == "AM-SRC-UNREACHABLE"


def test_update_changes_what_is_given(added: Result, cli: Cli) -> None:
    result = cli("sources", "update", "prod", "--name", "live", "--max-parallel", "3", "-o", "json")

    assert (result.json["id"], result.json["name"]) == (added.json["id"], "live")
    assert result.json["max_parallel_runs"] == 3
    assert cli("sources", "update", "live").exit_code == 2


def test_a_rate_is_given_and_left_open_again(added: Result, cli: Cli) -> None:
    limited = cli("sources", "update", "prod", "--max-per-minute", "30", "-o", "json")
    free = cli("sources", "update", "prod", "--unset", "max-per-minute", "-o", "json")

    assert (limited.json["max_runs_per_minute"], free.json["max_runs_per_minute"]) == (30, None)
    assert cli("sources", "update", "prod", "--max-per-minute", "0").exit_code == 2


def test_the_list_shows_a_source_that_is_down(added: Result, cli: Cli, settings: Settings) -> None:
    with opened(settings.require_database_url()) as database:
        rows(
            database,
            "UPDATE sources SET breaker_opened_at = now(), breaker_probe_at = now(),"
            " breaker_reason = 'refused' RETURNING 1",
        )

    [listed] = cli("sources", "list", "-o", "json").json["items"]

    assert (listed["breaker"], listed["breaker_reason"]) == ("open", "refused")


def test_update_tries_a_new_key_first(added: Result, cli: Cli) -> None:
    name = added.json["name"]

    assert cli("sources", "update", name, "--api-key-stdin", input="sk-wrong").exit_code == 4
    assert cli("sources", "test", name).exit_code == 0


def test_another_server_needs_the_key_once_more(added: Result, cli: Cli, key_file: str) -> None:
    with DemoServer(api_key=CANARY) as moved:
        refused = cli("sources", "update", "prod", "--url", moved.url)
        none = cli("sources", "update", "prod", "--url", moved.url, "--unset", "api-key")
        where = cli("sources", "show", "prod", "-o", "json").json["url"]
        done = cli("sources", "update", "prod", "--url", moved.url, "--api-key-file", key_file)

        assert (refused.exit_code, none.exit_code, done.exit_code) == (2, 4, 0)
        assert where == added.json["url"]
        assert "--api-key-file FILE" in refused.stderr
        assert "--unset api-key" in refused.stderr
        assert cli("sources", "test", "prod").exit_code == 0
    for each in (refused, none, done):
        assert CANARY not in each.stdout + each.stderr


def test_a_person_is_asked_for_the_key_to_another_server(
    added: Result, settings: Settings, tmp_path: Path
) -> None:
    with DemoServer(api_key=CANARY) as moved:
        seen = typed("sources", "update", "prod", "--url", moved.url, folder=tmp_path)

    assert seen.startswith(b"API key")
    assert moved.url.encode() in seen
    assert CANARY.encode() not in seen


def test_delete_must_be_confirmed_and_needs_leave_to_take_flows(added: Result, cli: Cli) -> None:
    name = added.json["name"]
    cli("flows", "sync")

    assert cli("sources", "delete", name).exit_code == 2
    assert cli("sources", "delete", name, "--dry-run").exit_code == 6
    tried = cli("sources", "delete", name, "--with-flows", "--dry-run")
    assert (tried.exit_code, "with 4 flows, 0 schedules" in tried.stderr) == (0, True)
    assert cli("sources", "delete", name, "--yes").exit_code == 6
    assert cli("sources", "delete", name, "--with-flows", "--yes").exit_code == 0
    assert cli("flows", "list", "-o", "json").items == []
