"""ManifestManager: makes sources, calendars and schedules what files say, all of it or nothing.

A plan can be tried and taken back: so it says what the managers refuse. Who applies holds one lock,
finds out the plan anew, and does nothing that was not shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.exceptions import AutomagikError, Conflict
from automagik.core.flows.exceptions import ComponentChoiceNeeded, InvalidFlowInput
from automagik.core.flows.sources import SourceManager
from automagik.core.manifest.calendars import CalendarRoom
from automagik.core.manifest.plan import Choice, Draft, Task, draft
from automagik.core.manifest.problems import ManifestInvalid, Place, Problem
from automagik.core.manifest.room import Room
from automagik.core.manifest.schedule_keys import CADENCE_KEYS
from automagik.core.manifest.schedules import ScheduleRoom
from automagik.core.manifest.sources import Accepted, SourceRoom, needs_access
from automagik.core.manifest.values import Action, Kind, Manifest, Plan
from automagik.core.scheduler.exceptions import InvalidCadence

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
        with self._database.long_transaction() as connection, connection.begin_nested() as trial:
            plan = self._do(connection, manifest, choice, accepted=None, only_look=not is_tried)
            trial.rollback()
        return plan

    def apply(self, manifest: Manifest, choice: Choice, *, shown: Plan) -> Plan:
        """Does what was shown, or less when somebody else has done some of it.

        New addresses and keys of sources are tried at their servers first. Raises ManifestInvalid,
        RemoteError, and Conflict when there would be more to do than was shown.
        """
        accepted = self._ask_servers(manifest, shown)
        with self._database.long_transaction() as connection:
            return self._do(connection, manifest, choice, accepted=accepted, shown=shown)

    def _do(
        self,
        connection: Connection,
        manifest: Manifest,
        choice: Choice,
        *,
        accepted: Accepted | None,
        shown: Plan | None = None,
        only_look: bool = False,
    ) -> Plan:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        rooms = _Rooms(
            sources=SourceRoom(connection, self._settings, accepted=accepted),
            calendars=CalendarRoom(connection),
            schedules=ScheduleRoom(connection, self._settings, manifest.names),
        )
        found = draft(manifest, rooms.by_kind, choice)
        plan = Plan(steps=tuple(task.step for task in found.tasks), unchanged=found.unchanged)
        if shown is not None and not plan.is_within(shown):
            raise Conflict(
                "What is there has changed since the plan was made.", hint="Apply it again."
            )
        if not found.problems and not only_look:
            _lock_schedules(rooms.schedules, found)
            for task in _in_order(found.tasks):
                _try(connection, rooms.by_kind[task.step.kind], task, found)
        if found.problems:
            raise ManifestInvalid(found.problems)
        return plan

    def _ask_servers(self, manifest: Manifest, plan: Plan) -> Accepted:
        """Before the transaction: a server may be slow."""
        sources = SourceManager(self._database, self._settings)
        known = {source.name.lower(): source for source in sources.list()}
        items = {item.name.lower(): item for item in manifest.items if item.kind is Kind.SOURCE}
        accepted = {}
        for step in plan.steps:
            keys = [change.field for change in step.changes]
            if step.kind is not Kind.SOURCE or not needs_access(keys):
                continue
            item = items[step.name.lower()]
            accepted[item.name] = sources.accepted(
                item.fields["url"],
                item.fields.get("api-key"),
                of=known.get(step.name.lower()),
            )
        return accepted


def _lock_schedules(room: ScheduleRoom, found: Draft) -> None:
    there = [
        task for task in found.tasks if task.step.kind is Kind.SCHEDULE and task.stored is not None
    ]
    room.lock(
        [task.stored.value for task in there if task.stored],
        deleted=[task.stored.value for task in there if task.stored and task.item is None],
    )


def _in_order(tasks: Sequence[Task]) -> Sequence[Task]:
    """What is new or changed first, then what goes; within a kind as it is told."""
    made, gone = _ORDER[Action.CREATE], _ORDER[Action.DELETE]

    def rank(task: Task) -> tuple[bool, int]:
        is_gone = task.item is None
        return is_gone, (gone if is_gone else made).index(task.step.kind)

    return sorted(tasks, key=rank)


def _try(connection: Connection, room: Room, task: Task, found: Draft) -> None:
    """What is wrong is taken down, so that all of it can be told."""
    try:
        with connection.begin_nested():
            _carry_out(room, task)
    except AutomagikError as error:
        if error.exit_code == _UNREACHABLE:
            raise
        found.problems.append(_problem(task, error))


_UNREACHABLE = 5


def _carry_out(room: Room, task: Task) -> None:
    if task.item is None and task.stored is not None:
        room.delete(task.stored)
    elif task.item is not None and task.stored is None:
        room.create(task.item)
    elif task.item is not None and task.stored is not None:
        keys = [change.field for change in task.step.changes]
        room.change(task.item, task.stored, keys=keys)


def _problem(task: Task, error: AutomagikError) -> Problem:
    path, key, place = f"{task.step.kind.plural}.{task.step.name}", _key(task, error), None
    if task.item is not None:
        place = task.item.place_of(key) if key else task.item.place
    return Problem.of(error, place=place, path=f"{path}.{key}" if key else path)


def _key(task: Task, error: AutomagikError) -> str | None:
    """The key that is probably to blame."""
    match error:
        case InvalidCadence():
            likely: Sequence[str] = CADENCE_KEYS
        case InvalidFlowInput():
            likely = ("tweaks", "input", "flow")
        case ComponentChoiceNeeded():
            likely = ("flow",)
        case _:
            likely = ()
    places: Mapping[str, Place] = task.item.places if task.item else {}
    return next((key for key in likely if key in places), None)
