"""One look at what there is to do, so that a beat with nothing to do does nothing."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Self

from sqlalchemy import Connection

from automagik.core.database.prepared import Prepared

# Each part comes from one end of an index, however many rows there are.
_LOOK = Prepared(
    "look",
    """
SELECT
    (SELECT min(next_run_at) FROM schedules WHERE status = 'active') - clock_timestamp()
        AS until_schedule,
    (SELECT min(paused_until) FROM schedules WHERE paused_until IS NOT NULL) - clock_timestamp()
        AS until_pause_ends,
    (SELECT min(run_at) FROM tasks WHERE state IN ('pending', 'waiting')) - clock_timestamp()
        AS until_task,
    (SELECT min(run_at) FROM tasks WHERE state IN ('pending', 'waiting') AND run_at > now()) - now()
        AS until_next_task,
    (SELECT min(lease_expires_at) FROM tasks WHERE state = 'running') - clock_timestamp()
        AS until_lease_ends,
    clock_timestamp() - (SELECT min(queued_at) FROM tasks WHERE state = 'queued')
        AS oldest_delivery,
    clock_timestamp() - (
        SELECT min(heartbeat_at) FROM workers WHERE status IN ('online', 'draining')
    ) AS longest_silence,
    EXISTS (SELECT FROM backfills WHERE state = 'running') AS has_backfill,
    (SELECT min(id) FROM follow_ups) IS NOT NULL AS has_follow_up
""",
)

_NOTHING = timedelta()


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """By PostgreSQL's clock; None where there is no such row, negative where it is overdue."""

    until_schedule: timedelta | None
    until_pause_ends: timedelta | None
    """Of the schedules that a beat is to resume."""
    until_task: timedelta | None
    until_next_task: timedelta | None
    """Of those that are not due."""
    until_lease_ends: timedelta | None
    oldest_delivery: timedelta | None
    """The age of the oldest delivery that no worker has claimed."""
    longest_silence: timedelta | None
    """The age of the oldest heartbeat of a worker that should be alive."""
    has_backfill: bool
    """Whether one is running."""
    has_follow_up: bool
    """Whether a run has ended that chains may follow."""
    is_foreseen: bool = False
    """Whether time has passed since the look, in which other things may have happened."""

    @property
    def has_due_schedule(self) -> bool:
        return self.until_schedule is not None and self.until_schedule <= _NOTHING

    @property
    def has_ended_pause(self) -> bool:
        return self.until_pause_ends is not None and self.until_pause_ends <= _NOTHING

    @property
    def has_due_task(self) -> bool:
        return self.until_task is not None and self.until_task <= _NOTHING

    @property
    def has_ended_lease(self) -> bool:
        return self.until_lease_ends is not None and self.until_lease_ends <= _NOTHING

    @property
    def has_work(self) -> bool:
        """Whether a task may be due when that is done which is to be done."""
        is_due = self.has_due_schedule or self.has_due_task
        return is_due or self.has_ended_lease or self.has_backfill or self.has_follow_up

    def after(self, span: timedelta) -> Self:
        """What is to do a while later, if nothing happens meanwhile."""
        return replace(
            self,
            until_schedule=_less(self.until_schedule, span),
            until_pause_ends=_less(self.until_pause_ends, span),
            until_task=_less(self.until_task, span),
            until_next_task=_less(self.until_next_task, span),
            until_lease_ends=_less(self.until_lease_ends, span),
            oldest_delivery=_less(self.oldest_delivery, -span),
            longest_silence=_less(self.longest_silence, -span),
            is_foreseen=True,
        )

    def wait(self, *, longest: timedelta, backlog: timedelta) -> timedelta:
        """How long there is nothing to do; `backlog` while due tasks wait for a free place."""
        if self.has_follow_up:
            return _NOTHING
        until_task = backlog if self.has_due_task else self.until_task
        untils = (self.until_schedule, self.until_pause_ends, until_task)
        ahead = [until for until in untils if until is not None]
        return max(_NOTHING, min([longest, *ahead]))


def _less(until: timedelta | None, span: timedelta) -> timedelta | None:
    return None if until is None else until - span


def look(connection: Connection) -> Outlook:
    [seen] = _LOOK.run(connection)
    return Outlook(**seen)
