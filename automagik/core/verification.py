"""Was every promise kept? The tables, the rules of the schedules and the ready-queues are asked."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, text

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.exceptions import ConfigurationError, RedisUnreachable
from automagik.core.scheduler.coverage import MOST, Coverage, find_gaps
from automagik.core.scheduler.undelivered import compare
from automagik.core.tasks.verify import PER_RULE, RULES, Violation, broken_rules

COVERAGE = "each occurrence of a schedule has a task, or a reason why not"
DELIVERY = "a queued task has a delivery in its ready-queue"

_COUNTS = text("""
SELECT (SELECT count(*) FROM tasks) AS tasks, (SELECT count(*) FROM task_attempts) AS attempts
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """Every broken promise, and what was read to find them."""

    violations: Sequence[Violation]
    rules: int
    tasks: int
    attempts: int
    occurrences: int
    notes: Sequence[str]
    """What was not looked at, and what is odd but harmless."""


def verify(database: Database, settings: Settings) -> Verification:
    """Safe at any time, also while everything runs. Raises DatabaseUnreachable."""
    with database.long_transaction() as connection:
        history = verify_history(connection)
    violations, notes = _compared(database, settings)
    return Verification(
        violations=[*history.violations, *violations],
        rules=history.rules + 1,
        tasks=history.tasks,
        attempts=history.attempts,
        occurrences=history.occurrences,
        notes=[*history.notes, *notes],
    )


def verify_history(connection: Connection) -> Verification:
    """What PostgreSQL alone can tell, on one snapshot. To be called first in a transaction."""
    connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
    coverage = find_gaps(connection)
    counts = connection.execute(_COUNTS).one()
    return Verification(
        violations=[*broken_rules(connection), *_gaps(coverage)],
        rules=len(RULES) + 1,
        tasks=counts.tasks,
        attempts=counts.attempts,
        occurrences=coverage.occurrences,
        notes=list(_left_out(coverage)),
    )


def _gaps(coverage: Coverage) -> Iterator[Violation]:
    for gap in coverage.gaps[:PER_RULE]:
        yield Violation(rule=COVERAGE, details=asdict(gap))


def _left_out(coverage: Coverage) -> Iterator[str]:
    if coverage.cut:
        yield f"Of {coverage.cut} schedules only the newest {MOST:,} occurrences were checked."
    if coverage.unreadable:
        yield f"The rules of {coverage.unreadable} schedules cannot be computed."


def _compared(database: Database, settings: Settings) -> tuple[list[Violation], list[str]]:
    try:
        comparison = compare(database, settings)
    except (RedisUnreachable, ConfigurationError) as error:
        return [], [f"The ready-queues were not compared. {error.message}"]
    lost = sorted(comparison.undelivered, key=lambda each: each.queued_at)[:PER_RULE]
    notes = []
    if comparison.idle:
        notes.append(
            f"{len(comparison.idle)} deliveries wait for tasks that are not queued: harmless,"
            " a worker drops them."
        )
    return [Violation(rule=DELIVERY, details=asdict(each)) for each in lost], notes
