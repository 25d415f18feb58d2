"""Each occurrence of a schedule has a task, or a reason is recorded why it has none.

What should have occurred is computed by the rule itself, for the time that a schedule answers for:
from `counts_from` to its clock, `next_run_at`. Everything that makes an older occurrence untold on
purpose moves `counts_from` on: a new rule or zone, and the deletion of a task by hand or by
retention. The clock of a paused schedule stands at what it holds back, `held_from`. A schedule that
has made all of its runs answers for the time up to the last. So there is no false alarm, and behind
it nothing is claimed. Schedules that are set aside have no clock and are not looked at. What the
rule leaves out is no occurrence, so a record of that excuses none. A newer tz database may move
occurrences of the past; until those are pruned they are told as missing.
"""

import json
import logging
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from automagik.core.scheduler.calendar_days import days_of
from automagik.core.scheduler.rule import Rule, rule_of
from automagik.core.scheduler.rule_text import RULE_COLUMNS
from automagik.core.scheduler.skipped import LEFT_OUT

logger = logging.getLogger(__name__)

MOST = 100_000
"""So many occurrences of one schedule are looked at, the newest."""
BATCH = 20_000
"""So many occurrences, and one schedule's more, are compared at a time."""

_SCHEDULES = text(f"""
SELECT id, counts_from, {", ".join(RULE_COLUMNS)}, CASE
    WHEN status = 'completed' AND runs >= max_runs THEN coalesce(last_run_at, counts_from)
    ELSE coalesce(next_run_at, held_from, now()) END AS clock
FROM schedules
WHERE (status IN ('active', 'completed') OR held_from IS NOT NULL) AND type <> 'after'
""")  # noqa: S608  (constants)

_WITH_TASKS = text("""
SELECT w.number, t.scheduled_for
FROM jsonb_to_recordset(CAST(:windows AS jsonb))
    AS w (number int, schedule_id uuid, first_at timestamptz, last_at timestamptz)
JOIN tasks t
    ON t.schedule_id = w.schedule_id AND t.scheduled_for BETWEEN w.first_at AND w.last_at
""")

_SKIPPED = text("""
SELECT schedule_id, first_at, last_at FROM skipped_occurrences
WHERE schedule_id = ANY(:schedules) AND reason <> ALL(:left_out)
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """Occurrences of a schedule that nobody can account for."""

    schedule_id: UUID
    schedule: str
    occurrences: int
    first_at: datetime
    last_at: datetime


@dataclass(kw_only=True, slots=True)
class Coverage:
    """What was compared, and what was missing."""

    gaps: list[Gap]
    occurrences: int = 0
    cut: int = 0
    """Of how many schedules only the newest occurrences were looked at."""
    unreadable: int = 0
    """How many schedules have a rule that cannot be computed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Expected:
    """The occurrences of one schedule, oldest first, at least one."""

    schedule_id: UUID
    schedule: str
    instants: list[datetime]

    def window(self, number: int) -> Mapping[str, Any]:
        """By its number in the batch its tasks are known again, at less cost than by an id."""
        return {
            "number": number,
            "schedule_id": str(self.schedule_id),
            "first_at": self.instants[0].isoformat(),
            "last_at": self.instants[-1].isoformat(),
        }


def find_gaps(connection: Connection, *, most: int = MOST) -> Coverage:
    """Reads all of the schedules and their tasks; a snapshot keeps it coherent."""
    coverage = Coverage(gaps=[])
    for batch in _batches(connection, coverage, most=most):
        coverage.gaps += _compare(connection, batch)
    return coverage


def _batches(
    connection: Connection, coverage: Coverage, *, most: int
) -> Iterator[Sequence[_Expected]]:
    batch: list[_Expected] = []
    size = 0
    rows = connection.execute(_SCHEDULES).mappings().all()
    days = days_of(connection, {row["calendar"] for row in rows if row["calendar"] is not None})
    for row in rows:
        expected = _expected(row, days, coverage, most=most)
        if expected is None:
            continue
        batch.append(expected)
        size += len(expected.instants)
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _expected(
    row: RowMapping, days: Mapping[str, frozenset[date]], coverage: Coverage, *, most: int
) -> _Expected | None:
    try:
        rule = rule_of(row, days.__getitem__)
        backwards = _occurrences(rule, after=row["counts_from"], until=row["clock"])
        instants = list(islice(backwards, most + 1))
    except Exception:
        # Whatever is wrong with it, a beat sets it aside as soon as it is due.
        logger.debug("Schedule %s cannot be computed", row["name"], exc_info=True)
        coverage.unreadable += 1
        return None
    coverage.cut += len(instants) > most
    del instants[most:]
    coverage.occurrences += len(instants)
    if not instants:
        return None
    return _Expected(schedule_id=row["id"], schedule=row["name"], instants=instants[::-1])


def _occurrences(rule: Rule, *, after: datetime, until: datetime) -> Iterator[datetime]:
    """Those between the two, newest first."""
    while (found := rule.latest_until(until - datetime.resolution, after=after)) is not None:
        yield found
        until = found


def _compare(connection: Connection, batch: Sequence[_Expected]) -> Iterator[Gap]:
    windows = json.dumps([each.window(number) for number, each in enumerate(batch)])
    with_tasks = {tuple(row) for row in connection.execute(_WITH_TASKS, {"windows": windows})}
    skipped = _skipped(connection, batch)
    for number, each in enumerate(batch):
        missing = [at for at in each.instants if (number, at) not in with_tasks]
        for first_at, last_at in skipped[each.schedule_id] if missing else ():
            del missing[bisect_left(missing, first_at) : bisect_right(missing, last_at)]
        if missing:
            yield Gap(
                schedule_id=each.schedule_id,
                schedule=each.schedule,
                occurrences=len(missing),
                first_at=missing[0],
                last_at=missing[-1],
            )


def _skipped(
    connection: Connection, batch: Sequence[_Expected]
) -> Mapping[UUID, list[tuple[datetime, datetime]]]:
    ranges: defaultdict[UUID, list[tuple[datetime, datetime]]] = defaultdict(list)
    ids = [each.schedule_id for each in batch]
    arguments = {"schedules": ids, "left_out": list(LEFT_OUT)}
    for schedule_id, first_at, last_at in connection.execute(_SKIPPED, arguments):
        ranges[schedule_id].append((first_at, last_at))
    return ranges
