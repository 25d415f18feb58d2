"""What running `automagik` in a test means and leaves."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from automagik.cli.cli import main
from automagik.core.config import get_settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What an invocation left."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def items(self) -> list[dict[str, Any]]:
        """The items of a list that was asked for with `-o json`."""
        found: list[dict[str, Any]] = self.json["items"]
        return found

    @property
    def lines(self) -> list[list[str]]:
        """The cells of each line."""
        return [line.split("\t") for line in self.stdout.splitlines()]


class Cli(Protocol):
    """Runs `automagik` with these words, in a pipe."""

    def __call__(self, *args: str, input: str | None = None) -> Result: ...  # noqa: A002


def cli_in(folder: Path, patch: pytest.MonkeyPatch) -> Cli:
    """The command line in this folder, with the environment as it is when it is called."""
    patch.chdir(folder)

    def run(*args: str, input: str | None = None) -> Result:  # noqa: A002
        stdout, stderr = io.StringIO(), io.StringIO()
        get_settings.cache_clear()
        with patch.context() as streams:
            streams.setattr("sys.stdin", io.StringIO(input or ""))
            streams.setattr("sys.stdout", stdout)
            streams.setattr("sys.stderr", stderr)
            exit_code = main(args)
        get_settings.cache_clear()
        return Result(exit_code=exit_code, stdout=stdout.getvalue(), stderr=stderr.getvalue())

    return run
