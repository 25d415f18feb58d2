"""What can be mended without asking: only what is right whatever was the cause.

Lost deliveries need nobody: beats send them again by themselves.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from automagik.core.config import Settings
from automagik.core.database import migrate
from automagik.core.database.exceptions import SchemaOutdated
from automagik.core.database.session import WAKE, notify
from automagik.core.exceptions import AutomagikError
from automagik.core.health.facts import opened
from automagik.core.health.private_files import open_files
from automagik.core.scheduler.reaper import mark_lost_workers, reap
from automagik.core.settings.files import shown
from automagik.core.tasks.liveness import LIVE_LEASES

logger = logging.getLogger(__name__)
_ACTOR = "doctor"


@dataclass(frozen=True, kw_only=True, slots=True)
class Repair:
    """Something that was mended, or would be."""

    what: str
    is_done: bool
    error: str | None = None
    """Why it could not be done."""


def repair(settings: Settings, *, dry_run: bool = False) -> Sequence[Repair]:
    """Raises nothing: what cannot be mended is told, once for each cause."""
    done: list[Repair] = []
    for mend in _MENDERS:
        try:
            words = list(mend(settings, dry_run))
        except SchemaOutdated:
            # The diagnosis says it, and nothing can be done in such a database.
            continue
        except AutomagikError as wrong:
            if wrong.message not in {each.error for each in done}:
                done.append(Repair(what=wrong.message, is_done=False, error=wrong.message))
        else:
            done += [Repair(what=what, is_done=not dry_run) for what in words]
    return done


def _close_files(settings: Settings, dry_run: bool) -> Iterator[str]:  # noqa: FBT001
    for file in open_files(settings):
        if not file.is_ours:
            continue
        if not dry_run:
            file.path.chmod(file.mode & 0o700)
        yield f"{shown(file.path)} is closed to others."


def _upgrade_schema(settings: Settings, dry_run: bool) -> Iterator[str]:  # noqa: FBT001
    with opened(settings) as database, database.transaction() as connection:
        found, newest = migrate.current(connection), migrate.head()
    if found == newest:
        return
    if found is not None and found > newest:
        raise SchemaOutdated
    if not dry_run:
        migrate.upgrade(settings.require_database_url())
    yield f"The schema is brought from {found or 'nothing'} to {newest}."


def _mark_workers(settings: Settings, dry_run: bool) -> Iterator[str]:  # noqa: FBT001
    silence = LIVE_LEASES * timedelta(seconds=settings.lease_seconds)
    with _tried(settings, dry_run=dry_run) as connection:
        count = mark_lost_workers(connection, silence=silence)
    if count:
        yield f"{count} silent worker{' is' if count == 1 else 's are'} marked as lost."


def _take_runs_back(settings: Settings, dry_run: bool) -> Iterator[str]:  # noqa: FBT001
    """As a beat would: an attempt is used up, and what runs at most once has failed."""
    lease = timedelta(seconds=settings.lease_seconds)
    with _tried(settings, dry_run=dry_run) as connection:
        count = reap(connection, lease=lease, actor=_ACTOR)
        notify(connection, WAKE)
    if count:
        runs = "run is" if count == 1 else "runs are"
        yield f"{count} {runs} taken back from workers that are gone."


@contextmanager
def _tried(settings: Settings, *, dry_run: bool) -> Iterator[Connection]:
    """A transaction; what was only tried is undone, so a dry run says exactly what would be."""
    with opened(settings) as database, database.transaction() as connection:
        migrate.require_current(connection)
        attempt = connection.begin_nested()
        yield connection
        if dry_run:
            attempt.rollback()


_MENDERS: Sequence[Callable[[Settings, bool], Iterator[str]]] = (
    _close_files,
    _upgrade_schema,
    _mark_workers,
    _take_runs_back,
)
