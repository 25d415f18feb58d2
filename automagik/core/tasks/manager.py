"""TaskManager: what people and programs ask of tasks. Workers and beats have their own rooms."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select

from automagik.core.config import Settings
from automagik.core.database import lookup
from automagik.core.database.models import TaskRow
from automagik.core.database.session import WAKE, Database, notify
from automagik.core.exceptions import Conflict, NotFound, StillPending
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.values import Flow
from automagik.core.queues import ensure_queue
from automagik.core.tasks import by_hand, creation, history
from automagik.core.tasks.exceptions import NoOutput
from automagik.core.tasks.failures import Failure, failures
from automagik.core.tasks.following import follow, wait
from automagik.core.tasks.idempotency import add_once, checked_key
from automagik.core.tasks.listing import ALL, Page, TaskFilter, read_page
from automagik.core.tasks.rows import load
from automagik.core.tasks.states import TaskState
from automagik.core.tasks.stats import Stats, stats
from automagik.core.tasks.values import LOG_LEVELS, Attempt, Event, LogLine, Task, TaskOutput
from automagik.core.tasks.why import Why, why
from automagik.core.tracing.traceparent import inherited

_PAGE = 500
"""So many tasks are read, changed or written at a time."""


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
        reason: str | None = None,
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
            "state_reason": reason,
            "traceparent": inherited(),
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

    def replay(
        self,
        task: Task,
        flow: Flow,
        run_input: FlowInput,
        *,
        actor: str,
        on_present_version: bool = False,
    ) -> Task:
        """Another run like a task, with its input or another.

        A source only knows the present version of a flow. Raises Conflict when the task ran
        another one, unless that does not matter, InvalidInput, and NotFound when the flow was
        deleted meanwhile.
        """
        if flow.version_id != task.flow_version_id and not on_present_version:
            raise Conflict(
                f"Flow {flow.name!r} has changed since task {task.id} ran its version"
                f" {task.flow_version}.",
                hint="Run the present version instead: add --present-version",
            )
        from automagik.core.flows.input_check import checked_input

        with self._database.transaction() as connection:
            run_input = checked_input(connection, flow, run_input)
        return self.create(
            flow,
            run_input,
            actor=actor,
            priority=task.priority,
            queue=task.queue,
            max_retries=task.max_retries,
            timeout=task.timeout,
            at_most_once=task.at_most_once,
            reason=f"replays task {task.id}",
        )

    def resolve(self, reference: str) -> UUID:
        """The task meant by a full id, the beginning of one, or `@last`.

        Raises NotFound and Ambiguous.
        """
        with self._database.transaction() as connection:
            return lookup.find_or_newest(connection, TaskRow, reference, noun="task")

    def list(self, wanted: TaskFilter = ALL, *, limit: int = 50, after: UUID | None = None) -> Page:
        """Newest first. Raises NotFound and Ambiguous for names in the filter."""
        with self._database.transaction() as connection:
            return read_page(connection, wanted, limit=limit, after=after)

    def walk(self, wanted: TaskFilter = ALL) -> Iterator[Sequence[Task]]:
        """All of them, newest first, page by page, each in a transaction of its own.

        Raises NotFound and Ambiguous for names in the filter.
        """
        page = self.list(wanted, limit=_PAGE)
        yield page.tasks
        while page.following is not None:
            page = self.list(wanted, limit=_PAGE, after=page.following)
            yield page.tasks

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

    def contents(self, ids: Sequence[UUID]) -> Mapping[UUID, Mapping[str, Any]]:
        """The input and the text of the output of each, by the names of the columns."""
        names = ("input_value", "tweaks", "session_id", "output_text")
        query = select(TaskRow.id, *(getattr(TaskRow, name) for name in names))
        with self._database.transaction() as connection:
            rows = connection.execute(query.where(TaskRow.id.in_(ids))).mappings().all()
        return {row["id"]: {name: row[name] for name in names} for row in rows}

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
        return follow(self._database, task_id, level=level, timeout=timeout)

    def wait(self, task_id: UUID, timeout: timedelta | None = None) -> Task:
        """The task after its end. Raises NotFound, and StillPending after the timeout."""
        return wait(self._database, task_id, timeout=timeout)

    def failures(self, *, age: timedelta) -> Sequence[Failure]:
        """Of the tasks that failed within the age by their cause, what came oftest first."""
        with self._database.long_transaction() as connection:
            return failures(connection, age=age)

    def stats(self, *, age: timedelta) -> Stats:
        """Of the tasks that ended within the age."""
        with self._database.long_transaction() as connection:
            return stats(connection, age=age)

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

    def cancel_all(self, ids: Sequence[UUID], *, actor: str, reason: str | None = None) -> int:
        """Those of them that have not ended, in one transaction; returns how many."""
        with self._database.transaction() as connection:
            return by_hand.cancel_all(connection, ids, actor=actor, reason=reason)

    def retry_all(self, ids: Sequence[UUID], *, actor: str, reason: str | None = None) -> int:
        """Those of them that failed or were cancelled, in one transaction; returns how many."""
        with self._database.transaction() as connection:
            return by_hand.retry_all(connection, ids, actor=actor, reason=reason)

    def delete(self, task_id: UUID) -> None:
        """With its whole history. Raises NotFound, and Conflict while it runs."""
        with self._database.transaction() as connection:
            by_hand.remove(connection, task_id)

    def delete_all(self, ids: Sequence[UUID]) -> int:
        """Those of them that do not run, in one transaction; returns how many."""
        with self._database.transaction() as connection:
            return by_hand.remove_all(connection, ids)
