"""What people write about when a schedule occurs, and what is stored of it."""

import re
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Protocol

from automagik.core.scheduler.dst import Dst, Fold, Gap
from automagik.core.scheduler.holidays import OnHoliday
from automagik.core.scheduler.schedule_type import ScheduleType

_HASH = re.compile("(?<![A-Z])H(?![A-Z])", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class CadenceText:
    """A time rule as a person types it."""

    type: str
    expr: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleLimits:
    """What a rule says beside its cadences and its zone; nothing of it is needed."""

    exclusions: tuple[str, ...] = ()
    """Dates, ranges of dates, or cron rules that name minutes."""
    calendar: str | None = None
    """Whose days are holidays."""
    on_holiday: OnHoliday = OnHoliday.SKIP
    quiet_hours: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    """From then on nothing occurs."""
    dst_gap: Gap = Gap.NEXT
    dst_fold: Fold = Fold.FIRST


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleText:
    """All that says when; at least one cadence."""

    cadences: tuple[CadenceText, ...]
    timezone: str
    limits: RuleLimits = RuleLimits()

    @classmethod
    def of_row(cls, row: "StoredRow") -> "RuleText":
        """By the columns of the table of schedules."""
        first = CadenceText(type=row["type"], expr=row["expr"])
        more = (CadenceText(**each) for each in row["more_cadences"])
        return cls(cadences=(first, *more), timezone=row["timezone"], limits=limits_of_row(row))

    @property
    def dst(self) -> Dst:
        return Dst(gap=self.limits.dst_gap, fold=self.limits.dst_fold)

    @property
    def depends_on_name(self) -> bool:
        """Whether a cron rule in it has an `H`."""
        crons = [each.expr for each in self.cadences if each.type == ScheduleType.CRON]
        return any(_HASH.search(each) for each in (*crons, *self.limits.exclusions))

    def columns(self) -> dict[str, Any]:
        """Of the table of schedules."""
        first, *more = self.cadences
        return {
            "type": str(first.type),
            "expr": first.expr,
            "more_cadences": [asdict(each) for each in more],
            "timezone": self.timezone,
            **asdict(self.limits),
            "exclusions": [*self.limits.exclusions],
        }


LIMITS = tuple(field.name for field in fields(RuleLimits))
"""Each is a column of its own, too."""
RULE_COLUMNS = ("name", "type", "expr", "more_cadences", "timezone", "anchor_at", *LIMITS)
"""All that rule_of reads."""


class StoredRow(Protocol):
    """Of the table of schedules, by the names of its columns."""

    def __getitem__(self, column: str, /) -> Any: ...


def limits_of_row(row: StoredRow) -> RuleLimits:
    exclusions, *others = (row[name] for name in LIMITS)
    return _limits(tuple(exclusions), *others)


@lru_cache(maxsize=256)
def _limits(*values: Any) -> RuleLimits:
    """Most schedules have the same: none."""
    row = dict(zip(LIMITS, values, strict=True))
    return RuleLimits(
        exclusions=row["exclusions"],
        calendar=row["calendar"],
        on_holiday=OnHoliday(row["on_holiday"]),
        quiet_hours=row["quiet_hours"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        dst_gap=Gap(row["dst_gap"]),
        dst_fold=Fold(row["dst_fold"]),
    )


class RuleOption(StrEnum):
    """A limit by its name on the command line."""

    EXCLUDE = "exclude"
    CALENDAR = "calendar"
    ON_HOLIDAY = "on-holiday"
    QUIET_HOURS = "quiet-hours"
    START = "start"
    END = "end"
    DST_GAP = "dst-gap"
    DST_FOLD = "dst-fold"

    @property
    def limit(self) -> str:
        """Its name in RuleLimits."""
        return _NAMED_OTHERWISE.get(self, self.replace("-", "_"))


_NAMED_OTHERWISE = {
    RuleOption.EXCLUDE: "exclusions",
    RuleOption.START: "starts_at",
    RuleOption.END: "ends_at",
}
