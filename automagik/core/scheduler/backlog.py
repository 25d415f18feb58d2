"""While due tasks wait for a free place: when a beat looks for one again."""

import time
from datetime import timedelta

from sqlalchemy import Connection

from automagik.core.tasks.full_sources import ask_for_places

# Of the time that they have waited, so that little of it is lost and a beat does not look all day
# at full speed.
SHARE = 0.1
SHORTEST_WAIT = timedelta(milliseconds=50)
LONGEST_WAIT = timedelta(seconds=1)


class Backlog:
    """Workers tell of a free place at a source that was full; all else shows only by looking."""

    def __init__(self) -> None:
        self._stands_since = time.monotonic()
        self._ask_at = time.monotonic()
        self._is_told = False

    def moved(self) -> None:
        """Some of it went out, or there is none."""
        self._stands_since = time.monotonic()

    def wait(self, connection: Connection) -> timedelta:
        """A short one comes first: a place may become free before the workers hear the question."""
        now, was_told = time.monotonic(), self._is_told
        if now >= self._ask_at:
            until_next_task = ask_for_places(connection, longest=LONGEST_WAIT)
            self._is_told = until_next_task is not None
            self._ask_at = now + (until_next_task or LONGEST_WAIT).total_seconds()
        if was_told and self._is_told:
            return timedelta(seconds=self._ask_at - now)
        stood = timedelta(seconds=now - self._stands_since)
        return min(LONGEST_WAIT, max(SHORTEST_WAIT, SHARE * stood))
