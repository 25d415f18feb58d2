"""What a run says, on its way to `task_logs`."""

import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from operator import attrgetter
from threading import Lock
from typing import Literal, TypedDict
from uuid import UUID

from sqlalchemy import Connection, text

from automagik.core.database.session import Database
from automagik.core.flows.answer import clean_text

Level = Literal["debug", "info", "warning", "error"]
LONGEST_LINE = 8_000
MOST_QUOTES = 10_000
"""Per attempt. A flow that talks without end must fill neither the memory nor the table."""
LINES_AT_ONCE = 500

LINES = """
ROWS FROM (
    jsonb_to_recordset(CAST(:lines AS jsonb)) AS (task_id uuid, attempt int, at timestamptz,
        level text, component text, message text)
) WITH ORDINALITY AS line (task_id, attempt, at, level, component, message, number)
"""
"""Lines as rows, in their order."""

# Nothing when the task was deleted meanwhile, with all that was said before.
_WRITE = """
WITH there AS MATERIALIZED (
    SELECT id FROM tasks WHERE id = ANY(CAST(:task_ids AS uuid[])) FOR KEY SHARE {waiting}
), written AS (
    INSERT INTO task_logs (task_id, attempt, at, level, component, message)
    SELECT line.task_id, line.attempt, line.at, line.level, line.component, line.message
    FROM {lines} JOIN there ON there.id = line.task_id ORDER BY line.number
)
SELECT id FROM there
"""
_WRITE_AT_LAST = text(_WRITE.format(waiting="", lines=LINES))
_WRITE_MEANWHILE = text(_WRITE.format(waiting="SKIP LOCKED", lines=LINES))


class Line(TypedDict):
    """As it goes to the database."""

    task_id: str
    attempt: int
    at: str
    level: Level
    component: str
    message: str


class TaskLog:
    """The lines of one attempt; several threads may say and flush."""

    def __init__(self, task_id: UUID, attempt: int) -> None:
        self.task_id = task_id
        self._task = str(task_id)
        self._attempt = attempt
        self._secrets: list[str] = []
        self._lines: list[Line] = []
        self._quotes = 0
        self._is_sealed = False
        # Held while lines are written, so that those of a later flush get later ids.
        self._writing = Lock()

    def hide(self, secret: str) -> None:
        """From now on this text is blotted out wherever it occurs."""
        if secret:
            self._secrets.append(secret)

    def redact(self, text: str) -> str:
        """The text without secrets, and without what PostgreSQL refuses."""
        # First of all: a secret may become one only when a NUL inside it is gone.
        text = clean_text(text)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def quote(self, component: str, message: str, *, level: Level = "info") -> None:
        """What the flow says by itself, of which only so much is kept."""
        self._quotes += 1
        if self._quotes <= MOST_QUOTES:
            self.say(component, message, level=level)
        elif self._quotes == MOST_QUOTES + 1:
            left_out = f"the flow has said {MOST_QUOTES} lines; what follows is left out"
            self.say("worker", left_out, level="warning")

    def say(self, component: str, message: str, *, level: Level = "info") -> None:
        self._lines.append(
            {
                "task_id": self._task,
                "attempt": self._attempt,
                "at": datetime.now(UTC).isoformat(),
                "level": level,
                "component": component,
                "message": self.redact(message)[:LONGEST_LINE],
            }
        )

    def seal(self) -> Sequence[Line]:
        """What is not written yet. Flushing leaves it alone from now on."""
        with self._writing:
            self._is_sealed = True
            return tuple(self._lines)

    @property
    def unwritten(self) -> int:
        """Lines."""
        return len(self._lines)

    def borrow(self, most: int, until: ExitStack) -> Sequence[Line]:
        """The oldest lines, which nobody else writes meanwhile; none when somebody does."""
        if not self._lines or most <= 0 or not self._writing.acquire(blocking=False):
            return ()
        until.callback(self._writing.release)
        return () if self._is_sealed else tuple(self._lines[:most])

    def forget(self, lines: Sequence[Line]) -> None:
        """Of borrowed ones that are written."""
        del self._lines[: len(lines)]


def flush(database: Database, logs: Iterable[TaskLog]) -> None:
    """Writes some of what they say; keeps it when DatabaseUnreachable is raised.

    The heartbeat calls it between two signs of life: it neither takes long nor waits. Whoever
    deletes a flow holds its tasks; what these say is kept for the next time.
    """
    with ExitStack() as until:
        borrowed: list[tuple[TaskLog, Sequence[Line]]] = []
        room = LINES_AT_ONCE
        # Who says much takes what the others leave.
        for log in sorted(logs, key=attrgetter("unwritten")):
            if lines := log.borrow(room, until):
                borrowed.append((log, lines))
                room -= len(lines)
        if not borrowed:
            return
        with database.transaction() as connection:
            arguments = {
                "task_ids": [log.task_id for log, _ in borrowed],
                "lines": json.dumps([line for _, lines in borrowed for line in lines]),
            }
            written = set(connection.scalars(_WRITE_MEANWHILE, arguments))
        for log, lines in borrowed:
            if log.task_id in written:
                log.forget(lines)


def write_lines(connection: Connection, log: TaskLog) -> None:
    """All that is not written yet, in the caller's transaction, which may be tried again."""
    lines = log.seal()
    if lines:
        arguments = {"task_ids": [log.task_id], "lines": json.dumps(lines)}
        connection.execute(_WRITE_AT_LAST, arguments)
