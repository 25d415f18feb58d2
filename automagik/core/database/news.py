"""News of tasks, logs, schedules and backfills for those who watch, without asking again and again.

Who watches says so in the database; without any watcher nothing is notified. What has changed is
not said: whoever is woken looks at what interests them.
"""

import math
import time
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Self

from sqlalchemy import text

from automagik.core.database.base import new_id
from automagik.core.database.exceptions import DatabaseUnreachable
from automagik.core.database.session import Database
from automagik.core.exceptions import AutomagikError, StillPending

NEWS = "automagik_news"
SHORTEST = timedelta(milliseconds=100)
"""However much happens, nobody looks oftener."""
LONGEST = timedelta(seconds=5)
"""However little happens, everybody looks so often: a promise may have ended meanwhile."""
_PROMISE = timedelta(minutes=1)

_WATCH = text("""
WITH gone AS (DELETE FROM watchers WHERE until < now() - :promise)
INSERT INTO watchers (id, until) VALUES (:id, now() + :promise)
ON CONFLICT (id) DO UPDATE SET until = excluded.until
""")
_LEAVE = text("DELETE FROM watchers WHERE id = :id")


class Deadline:
    """How long somebody waits; None: as long as it takes."""

    def __init__(self, timeout: timedelta | None) -> None:
        self._end = math.inf if timeout is None else time.monotonic() + timeout.total_seconds()

    def rest(self, message: str, *, hint: str) -> timedelta:
        """Until the next look. Raises StillPending with these words when the time is up."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise StillPending(message, hint=hint)
        return timedelta(seconds=min(left, LONGEST.total_seconds()))


class News:
    """Begins when it is entered: what is committed from then on wakes it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._id = new_id()
        self._looked_at = 0.0
        self._promised_at = 0.0

    def __enter__(self) -> Self:
        self._listener = self._database.listen(NEWS)
        self._promise()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.close()
        # Who cannot say goodbye is forgotten when its time is up.
        with suppress(AutomagikError), self._database.transaction() as connection:
            connection.execute(_LEAVE, {"id": self._id})

    def wait(self, timeout: timedelta = LONGEST) -> None:
        """Until something has happened, at the latest for so long. Raises DatabaseUnreachable."""
        rest = self._looked_at + SHORTEST.total_seconds() - time.monotonic()
        if rest > 0:
            time.sleep(min(rest, max(timeout.total_seconds(), 0.0)))
        self._promise()
        try:
            self._listener.wait(min(timeout, LONGEST))
        except DatabaseUnreachable:
            # It may be back already.
            self._listener.close()
            self._listener = self._database.listen(NEWS)
        self._looked_at = time.monotonic()

    def _promise(self) -> None:
        if (
            self._promised_at
            and time.monotonic() - self._promised_at < _PROMISE.total_seconds() / 3
        ):
            return
        with self._database.transaction() as connection:
            connection.execute(_WATCH, {"id": self._id, "promise": _PROMISE})
        self._promised_at = time.monotonic()
