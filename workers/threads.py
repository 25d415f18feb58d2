"""Celery's pool of threads, which can be stopped at once."""

from typing import Any

from celery.concurrency import thread

from workers.pools import GivesRunsBack


class TaskPool(GivesRunsBack, thread.TaskPool):  # type: ignore[misc]
    def terminate_job(self, *_: Any, **__: Any) -> None:
        """Nobody can end a thread: its run is given back when the pool stops."""
