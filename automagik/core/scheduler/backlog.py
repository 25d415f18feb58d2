"""While due tasks wait for a free place: when a beat looks for one again."""

import time
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from automagik.core.tasks.full_sources import ask_for_places

# Of the time that they have waited, so that little of it is lost and a beat does not look all day
# at full speed.
SHARE = 0.1
SHORTEST_WAIT = timedelta(milliseconds=50)
LONGEST_WAIT = timedelta(seconds=1)
ASK_AGAIN = timedelta(seconds=2)


class Backlog:
    """Workers tell of a free place at a source that was full; all else shows only by looking."""

    def __init__(self) -> None:
        self._stands_since = time.monotonic()
        self._asked: dict[UUID, float] = {}
        """When workers were asked about a source."""

    def moved(self) -> None:
        """Some of it went out, or there is none."""
        self._stands_since = time.monotonic()

    def wait(self, connection: Connection, *, until_next_task: timedelta | None) -> timedelta:
        """How long it pays to look at nothing."""
        wait = LONGEST_WAIT if self._is_told(connection) else self._share()
        if until_next_task is None:
            return wait
        return max(SHORTEST_WAIT, min(wait, until_next_task))

    def _is_told(self, connection: Connection) -> bool:
        """Not at first: a place may become free before the workers hear the question."""
        now = time.monotonic()
        again = now - ASK_AGAIN.total_seconds()
        asked = {source_id: at for source_id, at in self._asked.items() if at > again}
        due = ask_for_places(connection, but=asked)
        full = {source_id for source_id, is_full in due.items() if is_full}
        self._asked = {source_id: asked.get(source_id, now) for source_id in full}
        return all(source_id in asked and is_full for source_id, is_full in due.items())

    def _share(self) -> timedelta:
        stood = timedelta(seconds=time.monotonic() - self._stands_since)
        return min(LONGEST_WAIT, max(SHORTEST_WAIT, SHARE * stood))
