"""Schedules in bulk, as beats of ours and of others are given them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

PERIOD = timedelta(days=2)
"""Of intervals: so long that none occurs twice, and all have run last before they are filled in."""
_SOON = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Schedules with one rule, whose first occurrences lie `step` apart, so many `together`."""

    prefix: str
    count: int
    rule: timedelta | str
    """Between two occurrences, or a cron rule."""
    first_at: datetime
    step: timedelta = timedelta()
    together: int = 1
    zone: str = "UTC"

    def lines(self) -> Iterator[str]:
        """As the programs of peers read them: name, due instant, rule and zone."""
        rule = self.rule if isinstance(self.rule, str) else f"{self.rule.total_seconds():.0f}"
        for number, due in enumerate(self.instants()):
            # In the order of their instants, by which RedBeat looks ahead within a second.
            yield f"{self.prefix}{number:07}\t{due.timestamp()!r}\t{rule}\t{self.zone}\n"

    def instants(self) -> Iterator[datetime]:
        for number in range(self.count):
            yield self.first_at + number // self.together * self.step


def hours_away(count: int) -> Group:
    """Intervals with an hour to the first of them, over a day."""
    return Group(
        prefix="far-",
        count=count,
        rule=PERIOD,
        first_at=datetime.now(UTC) + _SOON,
        step=timedelta(days=1) / max(count, 1),
    )


def from_now_on(count: int, *, per_second: float, together: int = 1) -> Group:
    """Intervals that come due so many together, each once."""
    return Group(
        prefix="near-",
        count=count,
        rule=PERIOD,
        first_at=datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1),
        step=timedelta(seconds=together / per_second),
        together=together,
    )
