"""Following a task until its end, as it happens."""

from collections.abc import Iterator
from datetime import timedelta
from operator import attrgetter
from uuid import UUID

from automagik.core.database.news import Deadline, News
from automagik.core.database.session import Database
from automagik.core.tasks import history
from automagik.core.tasks.rows import load
from automagik.core.tasks.values import Event, LogLine, Task


def follow(
    database: Database, task_id: UUID, *, level: str, timeout: timedelta | None
) -> Iterator[Event | LogLine]:
    """All that happened and goes on happening, in order, until the task has ended.

    Raises NotFound, also when it is deleted meanwhile, and StillPending after the timeout.
    """
    deadline = Deadline(timeout)
    event_id = log_id = 0
    with News(database) as news:
        while True:
            with database.transaction() as connection:
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
                news.wait(_rest(deadline, task))


def wait(database: Database, task_id: UUID, *, timeout: timedelta | None) -> Task:
    """The task after its end. Raises NotFound, and StillPending after the timeout."""
    deadline = Deadline(timeout)
    with News(database) as news:
        while True:
            with database.transaction() as connection:
                task = load(connection, task_id)
            if task.state.is_final:
                return task
            news.wait(_rest(deadline, task))


def _rest(deadline: Deadline, task: Task) -> timedelta:
    return deadline.rest(
        f"Task {task.id} is still {task.state}.",
        hint=f"It goes on. Watch it with: automagik tasks watch {task.id}",
    )
