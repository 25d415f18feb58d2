"""Beats advance backfills: the next occurrences become tasks as the ones before end.

Each step is one transaction that moves `told_until` with the tasks it makes, so whoever dies in it
loses and doubles nothing. What is locked by somebody else is left for the next look.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from automagik.core.config import Settings
from automagik.core.database.base import new_id
from automagik.core.exceptions import AutomagikError
from automagik.core.scheduler.backfill_range import LOOKS, Step, Stretch, reaching_back, step
from automagik.core.scheduler.backfill_rows import BackfillState
from automagik.core.scheduler.calendar_days import days_of
from automagik.core.scheduler.exceptions import FlowGone
from automagik.core.scheduler.fire import YIELD
from automagik.core.scheduler.new_tasks import insert_tasks
from automagik.core.scheduler.overlap import UNFINISHED
from automagik.core.scheduler.policies import Overlap
from automagik.core.scheduler.rule import rule_of
from automagik.core.scheduler.rule_text import RULE_COLUMNS
from automagik.core.scheduler.skipped import tell_skipped

logger = logging.getLogger(__name__)

ADVANCING = 10
"""So many backfills take a step in one transaction."""

# Left out under the newest live run: what comes next waits for the end of that one.
_HAS_LEFT_OUT = f"""
coalesce((
    SELECT max(t.created_at) FROM tasks t
    WHERE t.schedule_id = b.schedule_id AND t.{UNFINISHED} AND t.backfill_id IS NULL
) < (
    SELECT max(o.recorded_at) FROM skipped_occurrences o
    WHERE o.schedule_id = b.schedule_id AND o.last_at >= b.begin_at AND o.first_at < b.told_until
), false)
"""  # noqa: S608  (a constant)

# Only those that come further: others must not take their places. Those with the most behind them
# come last, so that a long way past what has run already keeps nobody waiting.
_GOING_ON = text(f"""
SELECT b.id AS backfill_id, b.overlap AS backfill_overlap, b.max_concurrent, b.told_until, b.end_at,
    s.id, {", ".join(f"s.{name}" for name in RULE_COLUMNS)}, f.gone_at, now() AS now
FROM backfills b
JOIN schedules s ON s.id = b.schedule_id
JOIN flows f ON f.id = s.flow_id
WHERE b.state = 'running' AND (
    SELECT count(*) FROM tasks t WHERE t.backfill_id = b.id AND t.{UNFINISHED}
) < CASE WHEN b.told_until < b.end_at THEN b.max_concurrent ELSE 1 END
    AND (b.told_until >= b.end_at OR CASE b.overlap
        WHEN 'buffer-all' THEN NOT EXISTS (
            SELECT FROM tasks t WHERE t.schedule_id = b.schedule_id AND t.{UNFINISHED}
        )
        WHEN 'skip' THEN NOT {_HAS_LEFT_OUT}
        ELSE true
    END)
ORDER BY b.made + b.passed_by, b.id
FOR NO KEY UPDATE OF b SKIP LOCKED
FOR KEY SHARE OF s SKIP LOCKED
LIMIT :batch
""")  # noqa: S608  (constants)

# A statement of its own, after the locks: another beat may just have made some.
_UNFINISHED = text(f"""
SELECT b.id,
    (SELECT count(*) FROM tasks t WHERE t.backfill_id = b.id AND t.{UNFINISHED}) AS own,
    EXISTS (
        SELECT FROM tasks t
        WHERE t.schedule_id = b.schedule_id AND t.{UNFINISHED} AND t.backfill_id IS NULL
    ) AS has_live,
    EXISTS (
        SELECT FROM tasks t WHERE t.schedule_id = b.schedule_id AND t.{UNFINISHED}
    ) AS has_any,
    {_HAS_LEFT_OUT} AS has_left_out
FROM backfills b WHERE b.id = ANY(:backfills)
""")  # noqa: S608  (a constant)

_WITH_TASK = text("""
SELECT scheduled_for FROM tasks
WHERE schedule_id = :schedule AND scheduled_for >= :begin AND scheduled_for < :end
ORDER BY scheduled_for LIMIT :most
""")

# Recorded anew, which tells the next look what has been left out.
_RECORDED = text("""
UPDATE skipped_occurrences SET recorded_at = now()
WHERE schedule_id = :schedule AND first_at <= :last_at AND last_at >= :first_at
RETURNING first_at, last_at
""")

_MOVE = text("""
UPDATE backfills SET told_until = :told_until, made = made + :made,
    passed_by = passed_by + :passed_by, state = :state, reason = :reason,
    finished_at = CASE WHEN :state <> 'running' THEN now() END
WHERE id = :id
""")


def advance(connection: Connection, *, settings: Settings, actor: str) -> int:
    """Lets those take a step that can; returns how many could take another at once."""
    rows = connection.execute(_GOING_ON, {"batch": ADVANCING}).mappings().all()
    if not rows:
        return 0
    ids = [row["backfill_id"] for row in rows]
    unfinished = {row.id: row for row in connection.execute(_UNFINISHED, {"backfills": ids})}
    days = days_of(connection, {row["calendar"] for row in rows if row["calendar"] is not None})
    return sum(
        _Advance(
            connection=connection,
            row=row,
            room=_room(row, unfinished[row["backfill_id"]]),
            settings=settings,
            actor=actor,
        ).take_step(days.__getitem__)
        for row in rows
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Room:
    """What the unfinished tasks leave to a backfill."""

    tasks: int
    """Places: for runs, and for what is left out."""
    is_skipping: bool
    is_idle: bool
    """Whether all of its own have ended."""


def _room(row: RowMapping, unfinished: Any) -> _Room:
    is_skip = row["backfill_overlap"] == Overlap.SKIP
    tasks = max(0, row["max_concurrent"] - unfinished.own)
    if row["backfill_overlap"] == Overlap.BUFFER_ALL:
        tasks = 0 if unfinished.has_any else 1
    elif is_skip and unfinished.has_left_out:
        tasks = 0
    return _Room(
        tasks=tasks, is_skipping=is_skip and unfinished.has_live, is_idle=not unfinished.own
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Advance:
    """One step of one backfill."""

    connection: Connection
    row: RowMapping
    room: _Room
    settings: Settings
    actor: str

    def take_step(self, days: Callable[[str], frozenset[date]]) -> bool:
        """Whether it could take another at once."""
        stretch = self._stretch()
        try:
            taken = self._planned(stretch, days)
        except Exception as error:
            # Whatever is wrong with its rule: it ends with the reason and does not stop the others.
            logger.exception("Backfill %s is cancelled", self.row["backfill_id"])
            known = isinstance(error, AutomagikError)
            reason = str(error) if known else f"{type(error).__name__}: {error}"
            self._move(Step(told_until=stretch.begin), made=0, cancelled_for=reason)
            return False
        made = insert_tasks(
            self.connection,
            [self._task(at, number) for number, at in enumerate(taken.runs)],
            settings=self.settings,
            actor=self.actor,
        )
        tell_skipped(self.connection, list(self._unrecorded(taken)))
        self._move(taken, made=made)
        return taken.has_more

    def _stretch(self) -> Stretch:
        begin, end = self.row["told_until"], self.row["end_at"]
        query = {"schedule": self.row["id"], "begin": begin, "end": end, "most": LOOKS}
        return Stretch(
            begin=begin,
            end=end,
            with_task=self.connection.scalars(_WITH_TASK, query).all(),
            is_skipping=self.room.is_skipping,
        )

    def _planned(self, stretch: Stretch, days: Callable[[str], frozenset[date]]) -> Step:
        """Raises FlowGone and InvalidCadence."""
        if stretch.begin >= stretch.end:
            return Step(told_until=stretch.end, is_through=True)
        if self.row["gone_at"] is not None:
            raise FlowGone
        rule = reaching_back(rule_of(self.row, days), stretch.begin)
        return step(rule, stretch, room=self.room.tasks)

    def _task(self, at: datetime, number: int) -> Mapping[str, Any]:
        """They go out in their order, and after all live runs."""
        return {
            "id": new_id(),
            "schedule_id": self.row["id"],
            "scheduled_for": at,
            "backfill_id": self.row["backfill_id"],
            "run_at": self.row["now"] + number * timedelta.resolution,
            "yields": YIELD,
            "state_reason": f"is part of the backfill {self.row['backfill_id']}",
        }

    def _unrecorded(self, taken: Step) -> Sequence[Mapping[str, Any]]:
        """Stretches of what the overlap policy passes by and nobody has recorded."""
        told: list[Mapping[str, Any]] = []
        for row in taken.skipped:
            query = {"schedule": self.row["id"], "first_at": row[0], "last_at": row[-1]}
            recorded = self.connection.execute(_RECORDED, query).all()
            told += _stretches(self.row["id"], row, recorded)
        return told

    def _move(self, taken: Step, *, made: int, cancelled_for: str | None = None) -> None:
        state = BackfillState.RUNNING
        if cancelled_for is not None:
            state = BackfillState.CANCELLED
        elif taken.is_through and self.room.is_idle and not made:
            state = BackfillState.COMPLETED
        self.connection.execute(
            _MOVE,
            {
                "id": self.row["backfill_id"],
                "told_until": taken.told_until,
                "made": made,
                # Somebody may have made one of its tasks since it looked.
                "passed_by": len(taken.turns) - made,
                "state": state,
                "reason": cancelled_for,
            },
        )


def _stretches(
    schedule_id: UUID, instants: Sequence[datetime], recorded: Sequence[Any]
) -> Sequence[Mapping[str, Any]]:
    """Those that lie in no recorded stretch, in rows without another occurrence between them."""
    rows: list[dict[str, Any]] = []
    is_row = False
    for at in instants:
        is_told = any(each.first_at <= at <= each.last_at for each in recorded)
        if not is_told and is_row:
            rows[-1]["last_at"] = at
        elif not is_told:
            rows.append(
                {"schedule_id": schedule_id, "first_at": at, "last_at": at, "reason": "overlap"}
            )
        is_row = not is_told
    return rows
