"""BackfillManager: what people and programs ask of backfills. Beats only advance them."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, insert, select, text

from automagik.core.database import lookup
from automagik.core.database.models import BackfillRow, ScheduleRow
from automagik.core.database.news import Deadline, News
from automagik.core.database.session import WAKE, Database, notify
from automagik.core.exceptions import Conflict, InvalidInput, NotFound
from automagik.core.scheduler import backfill_rows
from automagik.core.scheduler.backfill_prospect import Prospect, prospect
from automagik.core.scheduler.backfill_rows import Backfill, BackfillState, backfills
from automagik.core.scheduler.overlap import cancel_backfilled
from automagik.core.scheduler.policies import Overlap
from automagik.core.scheduler.values import Schedule

MOST_CONCURRENT = 1_000
OVERLAPS = (Overlap.ALLOW_ALL, Overlap.SKIP, Overlap.BUFFER_ALL)

_OVERLAPPING = text("""
SELECT id FROM backfills
WHERE schedule_id = :schedule AND state = 'running' AND begin_at < :end AND end_at > :begin
""")

# Two statements: who deletes a schedule locks it first, then its backfills.
_LOCK_SCHEDULE = text("""
SELECT id FROM schedules WHERE id = (SELECT schedule_id FROM backfills WHERE id = :id)
FOR KEY SHARE
""")
_LOCK = text("SELECT state FROM backfills WHERE id = :id FOR UPDATE")

_CANCEL = text("""
UPDATE backfills SET state = 'cancelled', reason = :reason, finished_at = now() WHERE id = :id
""")


class BackfillManager:
    """Begins, reads and cancels backfills. Every method raises DatabaseUnreachable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def prospect(
        self, schedule_id: UUID, *, begin: datetime, end: datetime | None = None
    ) -> Prospect:
        """What a backfill of [begin, end) would come to; without an end it goes up to now.

        Raises NotFound, Conflict, InvalidCadence and InvalidInput, as `backfill_prospect` says.
        """
        with self._database.transaction() as connection:
            return prospect(connection, schedule_id, begin=begin, end=end)

    def start(
        self,
        wanted: Prospect,
        *,
        actor: str,
        overlap: Overlap = Overlap.ALLOW_ALL,
        max_concurrent: int = 1,
    ) -> Backfill:
        """Beats begin at once, whatever the status of the schedule. Its runs start no chains.

        Raises InvalidInput, NotFound when the schedule was deleted meanwhile, and Conflict while
        another of its backfills covers a part of the range.
        """
        _check(overlap, max_concurrent)
        columns = {
            "schedule_id": wanted.schedule.id,
            "begin_at": wanted.begin,
            "end_at": wanted.end,
            "overlap": overlap,
            "max_concurrent": max_concurrent,
            "occurrences": len(wanted.occurrences),
            "told_until": wanted.begin,
            "actor": actor,
        }
        with self._database.transaction() as connection:
            # One after the other, so that two do not begin for the same range.
            _lock(connection, wanted.schedule)
            _require_free(connection, wanted)
            statement = insert(BackfillRow).values(columns).returning(BackfillRow.id)
            backfill_id = connection.scalars(statement).one()
            notify(connection, WAKE)
            return backfill_rows.load(connection, backfill_id)

    def resolve(self, reference: str) -> UUID:
        """The backfill meant by a full id, the beginning of one, or `@last`.

        Raises NotFound and Ambiguous.
        """
        with self._database.transaction() as connection:
            return lookup.find_or_newest(connection, BackfillRow, reference, noun="backfill")

    def list(
        self, *, schedule_id: UUID | None = None, running: bool = False, limit: int = 50
    ) -> Sequence[Backfill]:
        """Newest first."""
        query = backfills()
        if schedule_id is not None:
            query = query.where(BackfillRow.schedule_id == schedule_id)
        if running:
            query = query.where(BackfillRow.state == BackfillState.RUNNING)
        query = query.order_by(BackfillRow.id.desc()).limit(limit)
        with self._database.transaction() as connection:
            return backfill_rows.read(connection, query)

    def get(self, backfill_id: UUID) -> Backfill:
        """Raises NotFound."""
        with self._database.transaction() as connection:
            return backfill_rows.load(connection, backfill_id)

    def follow(self, backfill_id: UUID, *, timeout: timedelta | None = None) -> Iterator[Backfill]:
        """As it is now, and each time that it has changed, until its end.

        Raises NotFound, also when it is deleted meanwhile, with its schedule, and StillPending
        after the timeout.
        """
        deadline, seen = Deadline(timeout), None
        with News(self._database) as news:
            while True:
                found = self.get(backfill_id)
                if found != seen:
                    yield found
                if found.state.is_final:
                    return
                seen = found
                news.wait(_rest(deadline, found))

    def cancel(self, backfill_id: UUID, *, actor: str) -> Backfill:
        """It makes no more tasks, and those that do not run are cancelled. Twice is once.

        Raises NotFound, and Conflict when it is completed.
        """
        with self._database.transaction() as connection:
            connection.execute(_LOCK_SCHEDULE, {"id": backfill_id})
            match connection.scalar(_LOCK, {"id": backfill_id}):
                case BackfillState.RUNNING:
                    connection.execute(_CANCEL, {"id": backfill_id, "reason": f"by {actor}"})
                    reason = "its backfill was cancelled"
                    cancel_backfilled(connection, [backfill_id], actor=actor, reason=reason)
                case BackfillState.COMPLETED:
                    raise Conflict(
                        f"Backfill {backfill_id} is already completed.",
                        hint="There is nothing to cancel.",
                    )
            return backfill_rows.load(connection, backfill_id)


def _rest(deadline: Deadline, backfill: Backfill) -> timedelta:
    return deadline.rest(
        f"Backfill {backfill.id} is still {backfill.state}.",
        hint=f"It goes on. Watch it with: automagik backfills watch {backfill.id}",
    )


def _check(overlap: Overlap, max_concurrent: int) -> None:
    if overlap not in OVERLAPS:
        raise InvalidInput(
            f"A backfill cannot have the overlap policy {overlap}: it gives way to live runs.",
            hint=f"Choose one of {', '.join(OVERLAPS)}.",
        )
    if not 1 <= max_concurrent <= MOST_CONCURRENT:
        raise InvalidInput(
            f"{max_concurrent} runs at a time are not possible.",
            hint=f"1 is the least, {MOST_CONCURRENT} the most.",
        )
    if overlap is Overlap.BUFFER_ALL and max_concurrent > 1:
        raise InvalidInput(
            "With buffer-all a run begins only when no other of the schedule is unfinished.",
            hint="Leave out --max-concurrent, or choose --overlap allow-all.",
        )


def _lock(connection: Connection, schedule: Schedule) -> None:
    query = select(ScheduleRow.id).where(ScheduleRow.id == schedule.id)
    if connection.scalar(query.with_for_update(key_share=True)) is None:
        raise NotFound(f"There is no schedule {schedule.name!r} any more.")


def _require_free(connection: Connection, wanted: Prospect) -> None:
    query = {"schedule": wanted.schedule.id, "begin": wanted.begin, "end": wanted.end}
    other = connection.scalars(_OVERLAPPING, query).first()
    if other is not None:
        raise Conflict(
            f"Backfill {other} of the schedule is running and covers a part of that range.",
            hint=f"Watch it with: automagik backfills watch {other}",
        )
