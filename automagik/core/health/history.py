"""The work and what is left of it: backlog, size of the database, retention."""

from collections.abc import Iterator

from sqlalchemy import Connection, text

from automagik.core.config import Settings
from automagik.core.database.migrate import require_current
from automagik.core.health.check import Check, error, ok, warning
from automagik.core.health.facts import StoredFacts, opened, read_stored
from automagik.core.health.status import work_problems
from automagik.core.queues import at_least
from automagik.core.scheduler.retention import ages_set

MANY_TASKS = 100_000
MANY_BYTES = 2_000_000_000
_MEGABYTE = 1_000_000

# The planner's estimate: to count a long history takes a while.
_SIZES = text("""
SELECT pg_database_size(current_database()) AS bytes,
    (SELECT reltuples::bigint FROM pg_class WHERE oid = 'tasks'::regclass) AS tasks
""")


def check_work(settings: Settings) -> Iterator[Check]:
    with opened(settings) as database, database.transaction() as connection:
        require_current(connection)
        stored = read_stored(connection, settings)
        size, tasks = _sizes(connection)
    yield from work_checks(stored)
    yield size_check(size, tasks, is_kept_for_ever=not ages_set(settings))


def work_checks(stored: StoredFacts) -> Iterator[Check]:
    problems = list(work_problems(stored))
    for problem in problems:
        yield error("Work", problem.what, fix=problem.fix)
    if not problems:
        yield ok("Work", _open(stored))


def size_check(size: int, tasks: int, *, is_kept_for_ever: bool) -> Check:
    """The rule; `tasks` is an estimate, 0 for a young database."""
    count = f", about {tasks:,} tasks" if tasks else ""
    found = f"the database has {size / _MEGABYTE:,.0f} MB{count}"
    if not is_kept_for_ever:
        return ok("History", f"{found}; what is old is deleted")
    if tasks < MANY_TASKS and size < MANY_BYTES:
        return ok("History", f"{found}; all is kept for ever")
    return warning(
        "History",
        f"{found}, and all is kept for ever",
        fix="Say how long: automagik config set retention_completed 30d, for the beats, too.",
    )


def _sizes(connection: Connection) -> tuple[int, int]:
    row = connection.execute(_SIZES).one()
    return row.bytes, max(0, row.tasks)


def _open(stored: StoredFacts) -> str:
    words = [f"{at_least(count)} {state}" for state, count in sorted(stored.open_tasks.items())]
    if stored.oldest_due_age is not None:
        words.append(f"the oldest is due for {stored.oldest_due_age.total_seconds():.0f} s")
    return ", ".join(words) or "nothing waits"
