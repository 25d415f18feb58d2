"""Celery's pool of processes, which can be stopped at once at no cost."""

from celery.concurrency import prefork

from workers.pools import GivesRunsBack


class TaskPool(GivesRunsBack, prefork.TaskPool):  # type: ignore[misc]
    """Its children do not listen to the signal by which Celery ends them in the middle of a run."""
