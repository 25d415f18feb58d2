"""The history checker of the tests: what `automagik db verify` finds, and gaps between occurrences.

A gap proves something only where nobody paused, changed or deleted a schedule, as in these tests.
"""

from sqlalchemy import text

from automagik.core.database.session import Database
from automagik.core.tasks.verify import verify

GAPS = {
    "an interval schedule has a gap between its occurrences": """
        SELECT schedule_id, scheduled_for, previous FROM (
            SELECT t.id, t.schedule_id, t.scheduled_for, s.expr, lag(t.scheduled_for)
                OVER (PARTITION BY t.schedule_id ORDER BY t.scheduled_for) AS previous
            FROM tasks t JOIN schedules s ON s.id = t.schedule_id
            WHERE s.type = 'interval' AND t.scheduled_for IS NOT NULL
        ) o WHERE scheduled_for - previous > expr::interval
            AND id NOT IN (SELECT task_id FROM task_events WHERE reason LIKE 'makes up for%')
    """,
    "a clock moved past an occurrence that has no task": """
        SELECT s.name, s.last_run_at FROM schedules s
        WHERE s.last_run_at IS NOT NULL AND NOT EXISTS (SELECT FROM tasks t
            WHERE t.schedule_id = s.id AND t.scheduled_for = s.last_run_at)
    """,
}


def violations(database: Database) -> list[str]:
    """Empty when every promise was kept."""
    with database.transaction() as connection:
        found = [str(violation) for violation in verify(connection)]
    with database.transaction() as connection:
        for rule, query in GAPS.items():
            rows = connection.execute(text(query)).all()
            found += [f"{rule}: {tuple(row)}" for row in rows[:5]]
    return found
