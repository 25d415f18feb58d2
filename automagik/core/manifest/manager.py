"""ManifestManager: makes sources, calendars and schedules what files say, all of it or nothing.

What there is to do is found out first, without a lock: so is all that takes a while. A plan can be
tried and taken back: so it says what the managers refuse. Who applies locks what is concerned,
finds out the plan anew, and does nothing that was not shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from automagik.core.config import Settings
from automagik.core.database.session import WAKE, Database, notify
from automagik.core.exceptions import AutomagikError, Conflict, Unreachable
from automagik.core.flows.sources import SourceManager
from automagik.core.manifest.blame import problem_of
from automagik.core.manifest.calendars import CalendarRoom
from automagik.core.manifest.gaps import days_for, short_gaps
from automagik.core.manifest.passed import as_of
from automagik.core.manifest.plan import Choice, Draft, Task, draft
from automagik.core.manifest.problems import ManifestInvalid, Problem
from automagik.core.manifest.room import Room
from automagik.core.manifest.schedules import ScheduleRoom
from automagik.core.manifest.sources import Accepted, SourceRoom, needs_access
from automagik.core.manifest.values import Action, Kind, Manifest, Plan
from automagik.core.scheduler.rows import database_now

# The key of an advisory lock, without meaning.
_LOCK = 2_718_281_828

_ORDER = {
    Action.CREATE: (Kind.CALENDAR, Kind.SCHEDULE, Kind.SOURCE),
    Action.DELETE: (Kind.SCHEDULE, Kind.CALENDAR, Kind.SOURCE),
}
"""Sources last: beats dispatch under the locks of their rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rooms:
    sources: SourceRoom
    calendars: CalendarRoom
    schedules: ScheduleRoom

    @property
    def by_kind(self) -> Mapping[Kind, Room]:
        return {
            Kind.SOURCE: self.sources,
            Kind.CALENDAR: self.calendars,
            Kind.SCHEDULE: self.schedules,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class _Looked:
    """What there is to be done, as it seems before anything is locked."""

    found: Draft
    gaps: Sequence[Problem]


class ManifestManager:
    """Plans and applies files. Every method raises DatabaseUnreachable."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def plan(
        self,
        manifest: Manifest,
        choice: Choice = Choice(),  # noqa: B008
        *,
        is_tried: bool = True,
    ) -> Plan:
        """What applying would do; tried, so that it says what the managers refuse, too.

        No server is asked. Raises ManifestInvalid.
        """
        looked = self._look(manifest, choice, checks_gaps=is_tried)
        if not is_tried:
            return looked.found.plan
        with self._database.long_transaction() as connection, connection.begin_nested() as trial:
            plan = self._do(connection, manifest, choice, looked, accepted=None)
            trial.rollback()
        return plan

    def apply(self, manifest: Manifest, choice: Choice, *, shown: Plan) -> Plan:
        """Does what was shown, or less when somebody else has done some of it.

        New addresses and keys of sources are tried at their servers first. Raises ManifestInvalid,
        RemoteError, and Conflict when there would be more to do than was shown.
        """
        looked = self._look(manifest, choice, checks_gaps=True)
        _refuse_more(looked.found, shown)
        accepted = self._ask_servers(manifest, looked.found.plan)
        with self._database.long_transaction() as connection:
            return self._do(connection, manifest, choice, looked, accepted=accepted)

    def _look(self, manifest: Manifest, choice: Choice, *, checks_gaps: bool) -> _Looked:
        """Without a lock, and with all that takes a while. Raises ManifestInvalid."""
        with self._database.long_transaction() as connection:
            now = database_now(connection)
            manifest = as_of(manifest, now)
            rooms = self._rooms(connection, manifest, choice, now=now, accepted=None)
            found = draft(manifest, rooms.by_kind, choice)
            days = days_for(connection, found.tasks)
        gaps: Sequence[Problem] = ()
        if checks_gaps:
            shortest = self._settings.min_interval
            gaps = short_gaps(found.tasks, days=days, now=now, shortest=shortest)
        if found.problems:
            raise ManifestInvalid([*found.problems, *gaps])
        return _Looked(found=found, gaps=gaps)

    def _do(
        self,
        connection: Connection,
        manifest: Manifest,
        choice: Choice,
        looked: _Looked,
        *,
        accepted: Accepted | None,
    ) -> Plan:
        """What is there may have changed since it was looked at: under the locks it stays."""
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        now = database_now(connection)
        manifest = as_of(manifest, now)
        rooms = self._rooms(connection, manifest, choice, now=now, accepted=accepted)
        rooms.calendars.lock(looked.found.tasks)
        rooms.schedules.lock(looked.found.tasks)
        found = draft(manifest, rooms.by_kind, choice)
        _refuse_more(found, looked.found.plan)
        if not found.problems:
            _carry_all_out(connection, rooms.by_kind, found)
        if problems := [*found.problems, *looked.gaps]:
            raise ManifestInvalid(problems)
        notify(connection, WAKE)
        return found.plan

    def _rooms(
        self,
        connection: Connection,
        manifest: Manifest,
        choice: Choice,
        *,
        now: datetime,
        accepted: Accepted | None,
    ) -> _Rooms:
        return _Rooms(
            sources=SourceRoom(connection, self._settings, accepted=accepted),
            calendars=CalendarRoom(connection),
            schedules=ScheduleRoom(
                connection, self._settings, now=now, names=manifest.names, kinds=choice.kinds
            ),
        )

    def _ask_servers(self, manifest: Manifest, plan: Plan) -> Accepted:
        """Before the transaction: a server may be slow."""
        sources = SourceManager(self._database, self._settings)
        known = {source.name.lower(): source for source in sources.list()}
        items = {item.name.lower(): item for item in manifest.items if item.kind is Kind.SOURCE}
        accepted = {}
        for step in plan.steps:
            if step.kind is not Kind.SOURCE or not needs_access(step.keys):
                continue
            item = items[step.name.lower()]
            accepted[item.name] = sources.accepted(
                item.fields["url"],
                item.fields.get("api-key"),
                of=known.get(step.name.lower()),
            )
        return accepted


def _refuse_more(found: Draft, shown: Plan) -> None:
    if not found.plan.is_within(shown):
        raise Conflict("What is there has changed since the plan was made.", hint="Apply it again.")


def _in_order(tasks: Sequence[Task]) -> Sequence[Task]:
    """What is new or changed first, then what goes; within a kind as it is told."""
    made, gone = _ORDER[Action.CREATE], _ORDER[Action.DELETE]

    def rank(task: Task) -> tuple[bool, int]:
        is_gone = task.item is None
        return is_gone, (gone if is_gone else made).index(task.step.kind)

    return sorted(tasks, key=rank)


def _carry_all_out(connection: Connection, rooms: Mapping[Kind, Room], found: Draft) -> None:
    """One by one only when something is wrong: many savepoints are dear to the whole server."""
    tasks = _in_order(found.tasks)
    try:
        with connection.begin_nested():
            for task in tasks:
                _carry_out(rooms[task.step.kind], task)
    except Unreachable:
        raise
    except AutomagikError:
        for task in tasks:
            _try(connection, rooms[task.step.kind], task, found)


def _try(connection: Connection, room: Room, task: Task, found: Draft) -> None:
    """What is wrong is taken down, so that all of it can be told."""
    try:
        with connection.begin_nested():
            _carry_out(room, task)
    except AutomagikError as error:
        if isinstance(error, Unreachable):
            raise
        found.problems.append(problem_of(task, error))


def _carry_out(room: Room, task: Task) -> None:
    if task.item is None and task.stored is not None:
        room.delete(task.stored)
    elif task.item is not None and task.stored is None:
        room.create(task.item)
    elif task.item is not None and task.stored is not None:
        room.change(task.item, task.stored, keys=task.step.keys)
