"""SchedulerManager: what people and programs ask of schedules. Beats only fire them.

Every change locks the row and wakes the beats when it commits, so that it counts at once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from sqlalchemy import Connection

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
from automagik.core.scheduler import (
    chain_changes,
    chains,
    changes,
    history,
    new_schedule,
    pauses,
    rows,
)
from automagik.core.scheduler.after import AfterText, Reaction
from automagik.core.scheduler.calendar_days import calendar_of, held_days
from automagik.core.scheduler.chain_explained import explain_chain
from automagik.core.scheduler.changes import Columns, ResumeFrom
from automagik.core.scheduler.clock_options import refuse_limits
from automagik.core.scheduler.explain import Explanation, explain
from automagik.core.scheduler.history import Entry, HistoryFilter
from automagik.core.scheduler.labels import checked_labels
from automagik.core.scheduler.overlap import admit
from automagik.core.scheduler.parents import latest_input
from automagik.core.scheduler.policies import Overlap
from automagik.core.scheduler.policy_columns import PolicyChange
from automagik.core.scheduler.rule import DaysOf
from automagik.core.scheduler.rule_text import CadenceText, RuleLimits, RuleText
from automagik.core.scheduler.schedule_input import input_columns, merged_input
from automagik.core.scheduler.selection import Selection
from automagik.core.scheduler.values import Schedule, ScheduleChange
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.values import Task


class SchedulerManager:
    """Creates, reads and changes schedules. Every method raises DatabaseUnreachable."""

    def __init__(
        self, database: Database, settings: Settings, *, refuses_short_gaps: bool = True
    ) -> None:
        """Who has seen to the gaps between runs lets it not look again: that takes a while."""
        self._shortest = settings.min_interval if refuses_short_gaps else None
        self._database = database
        self._settings = settings
        self._flows = FlowManager(database, settings)
        self._tasks = TaskManager(database, settings)

    def create(
        self,
        flow: Flow,
        cadence: CadenceText | AfterText,
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
        labels: Mapping[str, str] | None = None,
        reactions: Mapping[Reaction, Flow] | None = None,
    ) -> Schedule:
        """Active at once. Without a name it gets one; without a zone that of the settings.

        The input of a chain is a template. `reactions` are chains after the new schedule.
        Raises InvalidCadence, InvalidInput, NotFound when the flow was deleted meanwhile or there
        is no such calendar, and Conflict when the flow is gone, the name taken, or a chain would
        start itself.
        """
        columns: Columns = {"flow_id": flow.id} | changes.option_columns(
            priority=priority, queue=queue, max_retries=max_retries, timeout=timeout
        )
        columns["labels"] = checked_labels(labels or {})
        limits, cadences = limits or RuleLimits(), tuple(more_cadences)
        if isinstance(cadence, AfterText):
            refuse_limits(limits, policies)
        else:
            cadences = (cadence, *cadences)
        if policies is not None:
            columns |= policies.columns()
        zone = timezone or self._settings.timezone
        rule = RuleText(cadences=cadences, timezone=zone, limits=limits)
        with self._database.transaction() as connection:
            days = held_days(connection, limits.calendar)
            after = chain_changes.begin(connection, flow, cadence, reactions or {})
            flow_rows.hold(connection, flow)
            columns |= input_columns(connection, flow, run_input, is_chain=after is not None)
            if queue is not None:
                ensure_queue(connection, queue)
            schedule_id = new_schedule.add(
                connection,
                columns,
                after or rule,
                flow=flow,
                name=name,
                timezone=zone,
                days=days,
                shortest=self._shortest,
            )
            made = rows.load(connection, schedule_id)
            chain_changes.react(connection, made, reactions or {})
            notify(connection, WAKE)
            return made

    def resolve(self, reference: str) -> UUID:
        """The schedule meant by a name, an id, the beginning of one, or `@last`.

        Raises NotFound and Ambiguous.
        """
        with self._database.transaction() as connection:
            return lookup.find_or_newest(connection, ScheduleRow, reference, noun="schedule")

    def list(self, selection: Selection = Selection()) -> Sequence[Schedule]:  # noqa: B008
        """The next to run first, then those that do not run, by name."""
        query = selection.of(rows.schedules())
        query = query.order_by(ScheduleRow.next_run_at.nulls_last(), ScheduleRow.name)
        with self._database.transaction() as connection:
            return rows.read(connection, query)

    def get(self, schedule_id: UUID) -> Schedule:
        """Raises NotFound."""
        with self._database.transaction() as connection:
            return rows.load(connection, schedule_id)

    def pause(
        self,
        schedule_id: UUID,
        *,
        note: str | None = None,
        until: datetime | timedelta | None = None,
    ) -> Schedule:
        """No more runs until it is resumed, by a person or at the given end by a beat.

        Of a paused one the note and the end stay unless new ones are given.

        Raises NotFound, InvalidInput for an end that is past, and Conflict unless it is active.
        """

        def paused(_: Connection, found: Schedule, now: datetime, __: DaysOf) -> Columns:
            return changes.paused(found, note=note, until=until, now=now)

        return self._apply(schedule_id, paused)

    def resume(self, schedule_id: UUID, *, since: ResumeFrom = ResumeFrom.NOW) -> Schedule:
        """Lets its clock go on; what the pause held back and is not made up for is told.

        Raises NotFound, InvalidInput, and Conflict when the flow is gone, its only time passed, or
        nothing is held back that it could go on with.
        """

        def resumed(connection: Connection, found: Schedule, now: datetime, _: DaysOf) -> Columns:
            checked_input(connection, flow_rows.load(connection, found.flow_id), found.run_input)
            return changes.resumed(found, since=since, now=now)

        return self._apply(schedule_id, resumed)

    def update(self, schedule_id: UUID, change: ScheduleChange) -> Schedule:
        """Its next run moves only when its rule does.

        A completed one-shot with a new time is active again.
        Raises NotFound, InvalidCadence, InvalidInput, and Conflict when the name is taken.
        """

        def changed(
            connection: Connection, found: Schedule, now: datetime, days: DaysOf
        ) -> Columns:
            columns = changes.changed(found, change, now=now, days=days, shortest=self._shortest)
            if change.queue is not None:
                ensure_queue(connection, change.queue)
            if change.concerns_input:
                flow = flow_rows.load(connection, found.flow_id)
                merged, is_chain = merged_input(found.run_input, change), found.after is not None
                columns |= input_columns(connection, flow, merged, is_chain=is_chain)
            return columns | chain_changes.changed(connection, found, change)

        def lock(connection: Connection) -> None:
            chains.lock_change(connection, schedule_id, change)

        return self._apply(schedule_id, changed, calendar=change.calendar, lock=lock)

    def explain(self, schedule_id: UUID, *, at: datetime | None = None) -> Explanation:
        """What became of an occurrence; without an instant of the latest that has come.

        Raises NotFound, and InvalidCadence when its rule is none any more.
        """
        with self._database.transaction() as connection:
            schedule = rows.load(connection, schedule_id)
            if schedule.after is not None:
                return explain_chain(connection, schedule, at=at)
            return explain(connection, schedule_id, at=at)

    def history(self, schedule_id: UUID, wanted: HistoryFilter) -> Sequence[Entry]:
        """At least as many as wanted, if there are: entries of one instant stay together."""
        with self._database.transaction() as connection:
            return history.history(connection, schedule_id, wanted)

    def followers(self, schedule: Schedule) -> Sequence[Schedule]:
        """What its runs start: chains after it, and those after its flow. By name."""
        with self._database.transaction() as connection:
            return chains.followers(connection, schedule)

    def goes_along(self, schedules: Sequence[Schedule]) -> Sequence[str]:
        """The names of the chains that are deleted with them."""
        with self._database.transaction() as connection:
            return chains.goes_along(connection, schedules=[each.id for each in schedules])

    def delete(self, schedule_id: UUID) -> None:
        """With all that follows it. Its tasks stay; those that waited for their turn are cancelled.

        Raises NotFound.
        """
        with self._database.transaction() as connection:
            chains.delete(connection, schedule_id)
            notify(connection, WAKE)

    def trigger(
        self,
        schedule_id: UUID,
        *,
        actor: str,
        input_value: str | None = None,
        overlap: Overlap | None = None,
    ) -> Task:
        """One run at once, whatever the status; the next run stays where it is.

        With an overlap policy it counts as an occurrence that is due now. The input of a chain is
        filled in from the latest run that it would have followed; one that is given is taken as it
        is. Raises NotFound, Conflict when the flow is gone, there is no such run or the policy
        leaves it out, and InvalidInput when the flow has changed since.
        """
        schedule = self.get(schedule_id)
        if input_value is None and schedule.after is not None:
            with self._database.transaction() as connection:
                input_value = latest_input(connection, schedule)
        run_input = schedule.run_input
        if input_value is not None:
            run_input = replace(run_input, input_value=input_value)
        flow = self._flows.get(str(schedule.flow_id))
        return self._tasks.create(
            flow,
            self._flows.validate_input(flow, run_input),
            actor=actor,
            priority=schedule.priority,
            queue=schedule.queue,
            max_retries=schedule.max_retries,
            timeout=schedule.timeout,
            at_most_once=schedule.policies.at_most_once,
            schedule_id=schedule.id,
            admit=None
            if overlap is None
            else partial(admit, schedule=schedule_id, overlap=overlap, actor=actor),
        )

    def _apply(
        self,
        schedule_id: UUID,
        change: Callable[[Connection, Schedule, datetime, DaysOf], Columns],
        *,
        calendar: str | None = None,
        lock: Callable[[Connection], None] = lambda _: None,
    ) -> Schedule:
        """In one transaction, on the one connection that holds the schedule's lock.

        `calendar` is a new one; `lock` takes what is to be locked before the schedule.
        """
        with self._database.transaction() as connection:
            # Calendars before schedules: so does who changes a calendar.
            days = held_days(connection, calendar, calendar_of(connection, schedule_id))
            lock(connection)
            found = rows.load(connection, schedule_id, lock=True)
            now = rows.database_now(connection)
            columns = change(connection, found, now, days)
            if not columns:
                return found
            pauses.store(connection, found, columns, now=now)
            notify(connection, WAKE)
            return rows.load(connection, schedule_id)
