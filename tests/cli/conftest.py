"""The command line as a person gets it: its exit code, its stdout and its stderr."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from automagik.core.config import Settings
from tests.cli.command_line import Cli, cli_in
from tests.cli.terminal import Terminal, terminal_server


@pytest.fixture
def offline_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line where no server is known."""
    for name in ("DATABASE_URL", "REDIS_URL", "LANGFLOW_API_URL", "LANGFLOW_API_KEY", "TIMEZONE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("AUTOMAGIK_PROFILE", raising=False)
    monkeypatch.setenv("AUTOMAGIK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return cli_in(tmp_path, monkeypatch)


@pytest.fixture
def cli(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line with a database and a Redis of this test alone."""
    return cli_in(tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def _terminal_server() -> "Iterator[subprocess.Popen[str]]":
    """Importing all commands takes longer than most of them."""
    with terminal_server() as process:
        yield process


@pytest.fixture
def terminal(
    settings: Settings, tmp_path: Path, _terminal_server: "subprocess.Popen[str]"
) -> Terminal:
    """The command line on a terminal, with a database and a Redis of this test alone."""
    return Terminal(_terminal_server, tmp_path)
