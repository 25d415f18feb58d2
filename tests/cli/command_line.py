"""What running `automagik` in a test means and leaves."""

import json
from dataclasses import dataclass
from typing import Any, Protocol


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
