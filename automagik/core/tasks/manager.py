"""TaskManager: what people and programs ask of tasks. Workers and beats have their own rooms."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from operator import attrgetter
from uuid import UUID

from sqlalchemy import Connection, select

from automagik.core.config import Settings
from automagik.core.database import lookup
from automagik.core.database.models import TaskRow
from automagik.core.database.session import WAKE, Database, notify
from automagik.core.exceptions import NotFound, StillPending
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.values import Flow
from automagik.core.queues import ensure_queue
from automagik.core.tasks import by_hand, creation, history
from automagik.core.tasks.exceptions import NoOutput
from automagik.core.tasks.idempotency import add_once, checked_key
from automagik.core.tasks.listing import TaskFilter, list_tasks
from automagik.core.tasks.rows import load
from automagik.core.tasks.states import TaskState
from automagik.core.tasks.values import LOG_LEVELS, Attempt, Event, LogLine, Task, TaskOutput
from automagik.core.tasks.why import Why, why

POLL = timedelta(milliseconds=200)
"""How often those who wait for a task look at it."""


class TaskManager:
    """Creates, reads and changes tasks. Every method raises DatabaseUnreachable."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def create(
        self,
        flow: Flow,
        run_input: FlowInput,
        *,
        actor: str,
        priority: int | None = None,
        queue: str | None = None,
        max_retries: int | None = None,
        timeout: timedelta | None = None,
        at_most_once: bool | None = None,
        schedule_id: UUID | None = None,
        idempotency_key: str | None = None,
        on_existing: Callable[[Task], None] | None = None,
        admit: Callable[[Connection], bool] | None = None,
    ) -> Task:
        """A run of the flow's present version, due at once; the input was validated before.

        `admit` is asked first, in the same transaction, whether the run waits for its turn.

        What is not given comes from the flow, then from the settings. With a key that a task has
        already, that task is the answer, `on_existing` gets it, and nothing new is due.
        Raises InvalidInput, NotFound when flow or schedule were deleted meanwhile, and Conflict
        when the key's task is of another flow or has another input.
        """
        columns = {
            **creation.flow_columns(flow, run_input),
            **creation.option_columns(
                flow,
                self._settings,
                priority=priority,
                queue=queue,
                max_retries=max_retries,
                timeout=timeout,
                at_most_once=at_most_once,
            ),
            "schedule_id": schedule_id,
            "idempotency_key": checked_key(idempotency_key),
            "state_actor": actor,
        }
        with self._database.transaction() as connection:
            if admit is not None:
                columns["in_turn"] = admit(connection)
            creation.hold(connection, flow, schedule_id)
            if queue is not None:
                ensure_queue(connection, queue)
            task_id, is_new = add_once(connection, columns)
            if is_new:
                notify(connection, WAKE)
            task = load(connection, task_id)
        if on_existing is not None and not is_new:
            on_existing(task)
        return task

    def resolve(self, reference: str) -> UUID:
        """The task meant by a full id, the beginning of one, or `@last`.

        Raises NotFound and Ambiguous.
        """
        with self._database.transaction() as connection:
            if reference.strip() == "@last":
                return lookup.newest(connection, TaskRow, noun="task")
            return lookup.find(connection, TaskRow, reference, noun="task")

    def list(self, wanted: TaskFilter | None = None) -> Sequence[Task]:
        """Newest first. Raises NotFound and Ambiguous for names in the filter."""
        with self._database.transaction() as connection:
            return list_tasks(connection, wanted or TaskFilter())

    def get(self, task_id: UUID) -> Task:
        """Raises NotFound."""
        with self._database.transaction() as connection:
            return load(connection, task_id)

    def run_input(self, task_id: UUID) -> FlowInput:
        """Raises NotFound."""
        query = select(TaskRow.input_value, TaskRow.tweaks, TaskRow.session_id)
        with self._database.transaction() as connection:
            row = connection.execute(query.where(TaskRow.id == task_id)).one_or_none()
        if row is None:
            raise NotFound(f"There is no task {task_id}.")
        return FlowInput(input_value=row.input_value, tweaks=row.tweaks, session_id=row.session_id)

    def output(self, task_id: UUID) -> TaskOutput:
        """Raises NotFound, StillPending before the end, NoOutput when it ended without any."""
        query = select(TaskRow.output_text, TaskRow.result).where(TaskRow.id == task_id)
        with self._database.transaction() as connection:
            task = load(connection, task_id)
            text, answer = connection.execute(query).one()
        if not task.state.is_final:
            raise StillPending(
                f"Task {task_id} is {task.state} and has no output yet.",
                hint=f"Wait for it with: automagik tasks watch {task_id}",
            )
        if task.state is not TaskState.COMPLETED:
            raise NoOutput(
                f"Task {task_id} ended as {task.state} and has no output.",
                hint=f"See why with: automagik tasks show {task_id}",
            )
        return TaskOutput(text=text, answer=answer or {})

    def attempts(self, task_id: UUID) -> Sequence[Attempt]:
        """In order."""
        with self._database.transaction() as connection:
            return history.attempts(connection, task_id)

    def events(self, task_id: UUID) -> Sequence[Event]:
        """In order."""
        with self._database.transaction() as connection:
            return history.events(connection, task_id)

    def why(self, task_id: UUID) -> Why:
        """What became of it and why, with instants in the zone of the settings. Raises NotFound."""
        with self._database.transaction() as connection:
            return why(connection, task_id, zone=self._settings.timezone)

    def logs(self, task_id: UUID, *, level: str = LOG_LEVELS[0]) -> Iterator[LogLine]:
        """In order, those of this level or graver, loaded page by page."""
        after = 0
        while True:
            with self._database.transaction() as connection:
                lines = history.log_lines(connection, task_id, after=after, level=level)
            yield from lines
            if len(lines) < history.PAGE:
                return
            after = lines[-1].id

    def follow(
        self, task_id: UUID, *, level: str = LOG_LEVELS[0], timeout: timedelta | None = None
    ) -> Iterator[Event | LogLine]:
        """All that happened and goes on happening, in order, until the task has ended.

        Raises NotFound, also when it is deleted meanwhile, and StillPending after the timeout.
        """
        deadline = _Deadline(timeout)
        event_id = log_id = 0
        while True:
            with self._database.transaction() as connection:
                # Read first: what was written before the end is then surely seen below.
                task = load(connection, task_id)
                events = history.events(connection, task_id, after=event_id)
                lines = history.log_lines(connection, task_id, after=log_id, level=level)
            event_id = events[-1].id if events else event_id
            log_id = lines[-1].id if lines else log_id
            said: list[Event | LogLine] = [*events, *lines]
            yield from sorted(said, key=attrgetter("at"))
            if not said and task.state.is_final:
                return
            if not said:
                deadline.sleep(task)

    def wait(self, task_id: UUID, timeout: timedelta | None = None) -> Task:
        """The task after its end. Raises NotFound, and StillPending after the timeout."""
        deadline = _Deadline(timeout)
        while not (task := self.get(task_id)).state.is_final:
            deadline.sleep(task)
        return task

    def cancel(self, task_id: UUID, *, actor: str, reason: str | None = None) -> Task:
        """Final at once, whatever it is doing. Raises NotFound, and Conflict when it has ended."""
        with self._database.transaction() as connection:
            by_hand.cancel(connection, task_id, actor=actor, reason=reason)
            return load(connection, task_id)

    def retry(self, task_id: UUID, *, actor: str, reason: str | None = None) -> Task:
        """Due again at once. Raises NotFound, and Conflict unless it failed or was cancelled."""
        with self._database.transaction() as connection:
            by_hand.retry(connection, task_id, actor=actor, reason=reason)
            return load(connection, task_id)

    def delete(self, task_id: UUID) -> None:
        """With its whole history. Raises NotFound, and Conflict while it runs."""
        with self._database.transaction() as connection:
            by_hand.remove(connection, task_id)


class _Deadline:
    """How long somebody waits for a task."""

    def __init__(self, timeout: timedelta | None) -> None:
        self._end = math.inf if timeout is None else time.monotonic() + timeout.total_seconds()

    def sleep(self, task: Task) -> None:
        """Until the next look at the task. Raises StillPending when the time is up."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise StillPending(
                f"Task {task.id} is still {task.state}.",
                hint=f"It goes on. Watch it with: automagik tasks watch {task.id}",
            )
        time.sleep(min(left, POLL.total_seconds()))
