"""The command line as a person gets it: its exit code, its stdout and its stderr."""

import io
from pathlib import Path

import pytest

from automagik.cli.cli import main
from automagik.core.config import Settings, get_settings
from tests.cli.command_line import Cli, Result


@pytest.fixture
def offline_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line where no server is known."""
    for name in ("DATABASE_URL", "REDIS_URL", "LANGFLOW_API_URL", "LANGFLOW_API_KEY", "TIMEZONE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AUTOMAGIK_HOME", str(tmp_path / "home"))
    return _runner(tmp_path, monkeypatch)


@pytest.fixture
def cli(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line with a database and a Redis of this test alone."""
    return _runner(tmp_path, monkeypatch)


def _runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.chdir(tmp_path)

    def run(*args: str, input: str | None = None) -> Result:  # noqa: A002
        stdout, stderr = io.StringIO(), io.StringIO()
        get_settings.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdin", io.StringIO(input or ""))
            patch.setattr("sys.stdout", stdout)
            patch.setattr("sys.stderr", stderr)
            exit_code = main(args)
        get_settings.cache_clear()
        return Result(exit_code=exit_code, stdout=stdout.getvalue(), stderr=stderr.getvalue())

    return run
