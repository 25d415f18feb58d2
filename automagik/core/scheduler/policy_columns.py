"""Policies as the table of schedules holds them, and what a person may say of them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any

from sqlalchemy import RowMapping

from automagik.core.exceptions import InvalidInput
from automagik.core.scheduler.policies import CatchUpOrder, Misfire, Overlap, Policies

Columns = dict[str, Any]

DURATIONS = {
    "misfire_grace": "misfire_grace_seconds",
    "catch_up": "catch_up_seconds",
    "jitter": "jitter_seconds",
    "spread": "spread_seconds",
}
COLUMNS = tuple(DURATIONS.get(field.name, field.name) for field in fields(Policies))

# A century, like the longest interval.
_LONGEST = timedelta(days=36_525)


_DEFAULT = Policies()


class PolicyOption(StrEnum):
    """A policy by its name on the command line."""

    OVERLAP = "overlap"
    MISFIRE = "misfire"
    MISFIRE_GRACE = "misfire-grace"
    CATCH_UP = "catch-up"
    CATCH_UP_ORDER = "catch-up-order"
    JITTER = "jitter"
    SPREAD = "spread"
    MAX_RUNS = "max-runs"
    PAUSE_AFTER_FAILURES = "pause-after-failures"
    AT_MOST_ONCE = "at-most-once"

    @property
    def column(self) -> str:
        name = self.replace("-", "_")
        return DURATIONS.get(name, name)


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyChange:
    """What is said of the policies; None stays as it is."""

    overlap: Overlap | None = None
    misfire: Misfire | None = None
    misfire_grace: timedelta | None = None
    catch_up: timedelta | None = None
    catch_up_order: CatchUpOrder | None = None
    jitter: timedelta | None = None
    spread: timedelta | None = None
    max_runs: int | None = None
    """Counted from now on."""
    pause_after_failures: int | None = None
    at_most_once: bool | None = None

    def columns(
        self, *, present: Policies = _DEFAULT, unset: Collection[PolicyOption] = ()
    ) -> Columns:
        """What to write; what is unset, or says nothing any more, has its default again.

        Raises InvalidInput.
        """
        said = {name: getattr(self, name) for name in _SAID}
        given = {name: value for name, value in said.items() if value is not None}
        for name, value in given.items():
            _check(name, value)
        columns = {DURATIONS.get(name, name): _stored(value) for name, value in given.items()}
        for option in unset:
            if option.column in columns:
                raise InvalidInput(f"A new {option} is given and unset at the same time.")
            columns[option.column] = _DEFAULTS[option.column]
        if columns.get("misfire", present.misfire) != Misfire.RUN_ALL:
            columns |= self._without_order(columns)
        return columns | ({"runs": 0} if "max_runs" in columns else {})

    def _without_order(self, columns: Columns) -> Columns:
        usual = _DEFAULT.catch_up_order
        if self.catch_up_order not in (None, usual):
            raise InvalidInput(
                f"--catch-up-order {self.catch_up_order} says nothing where one run at most makes"
                " up for what is too late.",
                hint="Add --misfire run-all.",
            )
        return {"catch_up_order": usual} if "misfire" in columns else {}


_SAID = [field.name for field in fields(Policies)]


def policies_of(row: RowMapping | Mapping[str, Any]) -> Policies:
    """Of a row with all COLUMNS."""
    return _policies(*(row[column] for column in COLUMNS))


@lru_cache(maxsize=256)
def _policies(*values: Any) -> Policies:
    """Most schedules have the same."""
    row = dict(zip(COLUMNS, values, strict=True))
    return Policies(
        overlap=Overlap(row["overlap"]),
        misfire=Misfire(row["misfire"]),
        catch_up_order=CatchUpOrder(row["catch_up_order"]),
        max_runs=row["max_runs"],
        pause_after_failures=row["pause_after_failures"],
        at_most_once=row["at_most_once"],
        **{name: _length(row[column]) for name, column in DURATIONS.items()},
    )


def _length(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def _stored(value: Any) -> Any:
    return value.total_seconds() if isinstance(value, timedelta) else value


_DEFAULTS = {DURATIONS.get(name, name): _stored(getattr(_DEFAULT, name)) for name in _SAID}


def _check(name: str, value: Any) -> None:
    if isinstance(value, timedelta):
        shortest = timedelta() if name == "misfire_grace" else timedelta.resolution
        if not shortest <= value <= _LONGEST:
            raise InvalidInput(
                f"The {_words(name)} {value} is not possible.",
                hint="It is longer than nothing and at most 36525d.",
            )
    elif isinstance(value, int) and not isinstance(value, bool) and not 1 <= value < 2**31:
        raise InvalidInput(f"The {_words(name)} {value} is not possible.", hint="1 is the least.")


def _words(name: str) -> str:
    return name.replace("_", "-")
