"""What is wrong with files, and where."""

from collections.abc import Sequence
from dataclasses import dataclass

from automagik.core.exceptions import AutomagikError, InvalidInput


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Place:
    """A line of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong."""

    place: Place | None
    """None: it is not in a file."""
    path: str
    """Such as `schedules.office.cron`."""
    message: str
    hint: str | None = None

    @classmethod
    def of(cls, error: AutomagikError, *, place: Place | None, path: str) -> "Problem":
        return cls(place=place, path=path, message=error.message, hint=error.hint)

    @property
    def text(self) -> str:
        where = [str(self.place)] if self.place else []
        line = ": ".join([*where, *([self.path] if self.path else []), self.message])
        return f"{line}\n    {self.hint}" if self.hint else line


class ManifestInvalid(InvalidInput):
    """A file of schedules is not valid."""

    code = "AM-MANIFEST"
    default_hint = "Nothing was changed."

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=_rank))
        count = len(self.problems)
        head = "One thing is wrong:" if count == 1 else f"{count} things are wrong:"
        super().__init__("\n".join([head, *(problem.text for problem in self.problems)]))


def _rank(problem: Problem) -> tuple[bool, str, int]:
    place = problem.place
    return (place is None, place.file if place else "", place.line if place else 0)
