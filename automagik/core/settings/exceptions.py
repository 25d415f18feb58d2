"""What can be wrong with settings."""

from collections.abc import Sequence
from dataclasses import dataclass

from automagik.core.exceptions import ConfigurationError


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingProblem:
    """One setting that cannot be used, and where it comes from."""

    key: str
    """Empty when a whole file cannot be read."""
    what: str
    place: str
    hint: str | None = None

    def __str__(self) -> str:
        return (
            f"{self.key}: {self.what} ({self.place})" if self.key else f"{self.place}: {self.what}"
        )


class InvalidSettings(ConfigurationError):
    """Settings are wrong."""

    def __init__(self, problems: Sequence[SettingProblem]) -> None:
        self.problems = tuple(problems)
        hint = next((each.hint for each in problems if each.hint), None)
        super().__init__("; ".join(map(str, problems)), hint=hint)
