"""SchedulerManager: what people and programs ask of schedules. Beats only fire them.

Every change locks the row and wakes the beats when it commits, so that it counts at once.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, delete

from automagik.core.config import Settings
from automagik.core.database import lookup
from automagik.core.database.models import ScheduleRow
from automagik.core.database.session import WAKE, Database, notify
from automagik.core.flows import flow_rows
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.input_check import checked_input
from automagik.core.flows.manager import FlowManager
from automagik.core.flows.values import Flow
from automagik.core.queues import ensure_queue
from automagik.core.scheduler import changes, rows
from automagik.core.scheduler.calendar_days import calendar_of, held_days
from automagik.core.scheduler.changes import Columns
from automagik.core.scheduler.explain import Explanation, explain
from automagik.core.scheduler.names import checked_name, derived_name
from automagik.core.scheduler.new_rule import canonical, new_columns
from automagik.core.scheduler.overlap import cancel_buffered
from automagik.core.scheduler.policy_columns import PolicyChange
from automagik.core.scheduler.rule import DaysOf
from automagik.core.scheduler.rule_text import CadenceText, RuleLimits, RuleText
from automagik.core.scheduler.values import Schedule, ScheduleChange, ScheduleStatus
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.values import Task


class SchedulerManager:
    """Creates, reads and changes schedules. Every method raises DatabaseUnreachable."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._flows = FlowManager(database, settings)
        self._tasks = TaskManager(database, settings)

    def create(
        self,
        flow: Flow,
        cadence: CadenceText,
        *,
        run_input: FlowInput,
        more_cadences: Sequence[CadenceText] = (),
        timezone: str | None = None,
        limits: RuleLimits | None = None,
        name: str | None = None,
        priority: int | None = None,
        queue: str | None = None,
        max_retries: int | None = None,
        timeout: timedelta | None = None,
        policies: PolicyChange | None = None,
    ) -> Schedule:
        """Active at once. Without a name it gets one; without a zone that of the settings.

        Raises InvalidCadence, InvalidInput, NotFound when the flow was deleted meanwhile or there
        is no such calendar, and Conflict when the flow is gone or the name taken.
        """
        columns: Columns = {"flow_id": flow.id} | changes.option_columns(
            priority=priority, queue=queue, max_retries=max_retries, timeout=timeout
        )
        if policies is not None:
            columns |= policies.columns()
        rule = RuleText(
            cadences=(cadence, *more_cadences),
            timezone=timezone or self._settings.timezone,
            limits=limits or RuleLimits(),
        )
        with self._database.transaction() as connection:
            flow_rows.hold(connection, flow)
            columns |= _input_columns(connection, flow, run_input)
            if queue is not None:
                ensure_queue(connection, queue)
            schedule_id = self._add(connection, columns, rule, flow=flow, name=name)
            notify(connection, WAKE)
            return rows.load(connection, schedule_id)

    def resolve(self, reference: str) -> UUID:
        """The schedule meant by a name, an id or the beginning of one.

        Raises NotFound and Ambiguous.
        """
        with self._database.transaction() as connection:
            return lookup.find(connection, ScheduleRow, reference, noun="schedule")

    def list(
        self, *, flow_id: UUID | None = None, status: ScheduleStatus | None = None
    ) -> Sequence[Schedule]:
        """The next to run first, then those that do not run, by name."""
        query = rows.schedules()
        if flow_id is not None:
            query = query.where(ScheduleRow.flow_id == flow_id)
        if status is not None:
            query = query.where(ScheduleRow.status == status)
        query = query.order_by(ScheduleRow.next_run_at.nulls_last(), ScheduleRow.name)
        with self._database.transaction() as connection:
            return rows.read(connection, query)

    def get(self, schedule_id: UUID) -> Schedule:
        """Raises NotFound."""
        with self._database.transaction() as connection:
            return rows.load(connection, schedule_id)

    def pause(self, schedule_id: UUID, *, reason: str | None = None) -> Schedule:
        """No more runs until it is resumed. Raises NotFound, and Conflict unless it is active."""
        return self._apply(schedule_id, lambda _, found, *__: changes.paused(found, reason=reason))

    def resume(self, schedule_id: UUID) -> Schedule:
        """From now on again; what passed meanwhile is not made up for.

        Raises NotFound, InvalidInput, and Conflict when the flow is gone or its only time passed.
        """
        return self._apply(schedule_id, _resumed)

    def update(self, schedule_id: UUID, change: ScheduleChange) -> Schedule:
        """Its next run moves only when its rule does.

        A completed one-shot with a new time is active again.
        Raises NotFound, InvalidCadence, InvalidInput, and Conflict when the name is taken.
        """

        def changed(
            connection: Connection, found: Schedule, now: datetime, days: DaysOf
        ) -> Columns:
            shortest = self._settings.min_interval
            columns = changes.changed(found, change, now=now, days=days, shortest=shortest)
            if change.queue is not None:
                ensure_queue(connection, change.queue)
            if change.concerns_input:
                flow = flow_rows.load(connection, found.flow_id)
                columns |= _input_columns(connection, flow, _merged(found.run_input, change))
            return columns

        return self._apply(schedule_id, changed, calendar=change.calendar)

    def explain(self, schedule_id: UUID, *, at: datetime | None = None) -> Explanation:
        """What became of an occurrence; without an instant of the latest that has come.

        Raises NotFound, and InvalidCadence when its rule is none any more.
        """
        with self._database.transaction() as connection:
            return explain(connection, schedule_id, at=at)

    def delete(self, schedule_id: UUID) -> None:
        """Its tasks stay; those that waited for their turn are cancelled. Raises NotFound."""
        with self._database.transaction() as connection:
            rows.load(connection, schedule_id, lock=True)
            cancel_buffered(connection, schedule_id)
            connection.execute(delete(ScheduleRow).where(ScheduleRow.id == schedule_id))
            notify(connection, WAKE)

    def trigger(self, schedule_id: UUID, *, actor: str) -> Task:
        """One run at once, whatever the status; the next run stays where it is.

        Raises NotFound, Conflict when the flow is gone, InvalidInput when it has changed since.
        """
        schedule = self.get(schedule_id)
        flow = self._flows.get(str(schedule.flow_id))
        return self._tasks.create(
            flow,
            self._flows.validate_input(flow, schedule.run_input),
            actor=actor,
            priority=schedule.priority,
            queue=schedule.queue,
            max_retries=schedule.max_retries,
            timeout=schedule.timeout,
            at_most_once=schedule.policies.at_most_once,
            schedule_id=schedule.id,
        )

    def _add(
        self,
        connection: Connection,
        columns: Columns,
        rule: RuleText,
        *,
        flow: Flow,
        name: str | None,
    ) -> UUID:
        days, now = held_days(connection, rule.limits.calendar), rows.database_now(connection)
        shortest = self._settings.min_interval

        def columns_of(name: str) -> Columns:
            return columns | new_columns(rule, name=name, days=days, now=now, shortest=shortest)

        if name is not None:
            name = checked_name(name)
            return rows.add(connection, columns_of(name), name=name)
        first = canonical(rule, now=now, name="").cadences[0]
        made_up = derived_name(flow.name, type_=first.type, expr=first.expr)
        return rows.add_numbered(connection, columns_of, name=made_up)

    def _apply(
        self,
        schedule_id: UUID,
        change: Callable[[Connection, Schedule, datetime, DaysOf], Columns],
        *,
        calendar: str | None = None,
    ) -> Schedule:
        """In one transaction, on the one connection that holds the schedule's lock.

        `calendar` is a new one.
        """
        with self._database.transaction() as connection:
            # Calendars before schedules: so does who changes a calendar.
            days = held_days(connection, calendar, calendar_of(connection, schedule_id))
            found = rows.load(connection, schedule_id, lock=True)
            columns = change(connection, found, rows.database_now(connection), days)
            if not columns:
                return found
            rows.change(connection, schedule_id, columns)
            notify(connection, WAKE)
            return rows.load(connection, schedule_id)


def _resumed(connection: Connection, schedule: Schedule, now: datetime, _: DaysOf) -> Columns:
    checked_input(connection, flow_rows.load(connection, schedule.flow_id), schedule.run_input)
    return changes.resumed(schedule, now=now)


def _input_columns(connection: Connection, flow: Flow, run_input: FlowInput) -> Columns:
    checked = checked_input(connection, flow, run_input)
    return {
        "input_value": checked.input_value,
        "tweaks": dict(checked.tweaks),
        "session_id": checked.session_id,
    }


def _merged(stored: FlowInput, change: ScheduleChange) -> FlowInput:
    """An empty session stands for none."""
    session = stored.session_id if change.session_id is None else change.session_id or None
    return FlowInput(
        input_value=stored.input_value if change.input_value is None else change.input_value,
        tweaks=stored.tweaks if change.tweaks is None else change.tweaks,
        session_id=session,
    )
