"""What a run says, on its way to `task_logs`."""

from datetime import UTC, datetime
from threading import Lock
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection, insert, select, text

from automagik.core.database.models import TaskLogRow, TaskRow
from automagik.core.database.session import Database
from automagik.core.flows.answer import clean_text

Level = Literal["debug", "info", "warning", "error"]
LONGEST_LINE = 8_000
MOST_QUOTES = 10_000
"""Per attempt. A flow that talks without end must fill neither the memory nor the table."""
LINES_AT_ONCE = 500


class TaskLog:
    """The lines of one attempt; several threads may say and flush."""

    def __init__(self, task_id: UUID, attempt: int) -> None:
        self._task_id = task_id
        self._attempt = attempt
        self._secrets: list[str] = []
        self._lines: list[dict[str, object]] = []
        self._quotes = 0
        self._closed = False
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
        line = {
            "task_id": self._task_id,
            "attempt": self._attempt,
            "at": datetime.now(UTC),
            "level": level,
            "component": component,
            "message": self.redact(message)[:LONGEST_LINE],
        }
        self._lines.append(line)

    def flush(self, database: Database) -> None:
        """Writes some of what was said; keeps it when DatabaseUnreachable is raised.

        The heartbeat calls it between two signs of life: it neither takes long nor waits.
        """
        if not self._lines or not self._writing.acquire(blocking=False):
            return
        try:
            if not self._closed:
                self._write_some(database)
        finally:
            self._writing.release()

    def _write_some(self, database: Database) -> None:
        lines = self._lines[:LINES_AT_ONCE]
        with database.transaction() as connection:
            # Whoever deletes the flow holds the task; the heartbeat must go on meanwhile.
            connection.execute(text("SET LOCAL lock_timeout = '1s'"))
            self._write(connection, lines)
        del self._lines[: len(lines)]

    def close(self, connection: Connection) -> None:
        """Writes the rest in the caller's transaction, which may be tried again."""
        with self._writing:
            self._closed = True
            if self._lines:
                self._write(connection, self._lines)

    def _write(self, connection: Connection, lines: list[dict[str, object]]) -> None:
        """Nothing when the task was deleted meanwhile, with all that was said before."""
        task = select(TaskRow.id).where(TaskRow.id == self._task_id)
        is_there = task.with_for_update(read=True, key_share=True)
        if connection.scalar(is_there) is not None:
            connection.execute(insert(TaskLogRow), lines)
