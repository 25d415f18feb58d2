"""The history checker: reads the tables afterwards and lists every broken promise.

Each rule is a query for its violations. A test that broke something on purpose ends with it.
"""

from sqlalchemy import text

from automagik.core.database.session import Database

RULES = {
    "an occurrence has more than one task": """
        SELECT schedule_id, scheduled_for, count(*) FROM tasks WHERE schedule_id IS NOT NULL
            AND scheduled_for IS NOT NULL GROUP BY 1, 2 HAVING count(*) > 1
    """,
    "an interval schedule has a gap between its occurrences": """
        SELECT schedule_id, scheduled_for, previous FROM (
            SELECT t.schedule_id, t.scheduled_for, s.expr, lag(t.scheduled_for)
                OVER (PARTITION BY t.schedule_id ORDER BY t.scheduled_for) AS previous
            FROM tasks t JOIN schedules s ON s.id = t.schedule_id
            WHERE s.type = 'interval' AND t.scheduled_for IS NOT NULL
                AND t.id NOT IN (SELECT task_id FROM task_events WHERE reason LIKE 'makes up for%')
        ) o WHERE scheduled_for - previous > expr::interval
    """,
    "a clock moved past an occurrence that has no task": """
        SELECT s.name, s.last_run_at FROM schedules s
        WHERE s.last_run_at IS NOT NULL AND NOT EXISTS (SELECT FROM tasks t
            WHERE t.schedule_id = s.id AND t.scheduled_for = s.last_run_at)
    """,
    "a task's last event is not its state": """
        SELECT t.id, t.state, e.to_state FROM tasks t CROSS JOIN LATERAL (
            SELECT to_state FROM task_events WHERE task_id = t.id ORDER BY id DESC LIMIT 1
        ) e WHERE e.to_state <> t.state
    """,
    "the events of a task are no path": """
        SELECT task_id, id, came_from, from_state FROM (
            SELECT task_id, id, from_state,
                lag(to_state) OVER (PARTITION BY task_id ORDER BY id) AS came_from
            FROM task_events
        ) e WHERE from_state IS DISTINCT FROM came_from
    """,
    "a task ended more than once without a retry by hand": """
        SELECT task_id, count(*) FROM task_events
        WHERE to_state IN ('completed', 'failed', 'cancelled') GROUP BY 1
        HAVING count(*) > 1 + (SELECT count(*) FROM task_events r WHERE r.task_id =
            task_events.task_id AND r.from_state IN ('failed', 'cancelled'))
    """,
    "the attempts of a task are not 1, 2, 3 … up to the last": """
        SELECT t.id, t.attempt, array_agg(a.attempt ORDER BY a.attempt)
        FROM tasks t LEFT JOIN task_attempts a ON a.task_id = t.id GROUP BY 1, 2
        HAVING array_remove(array_agg(a.attempt ORDER BY a.attempt), NULL)
            <> ARRAY(SELECT generate_series(1, t.attempt))
    """,
    "two attempts of a task overlap": """
        SELECT a.task_id, a.attempt FROM task_attempts a JOIN task_attempts b
            ON b.task_id = a.task_id AND b.attempt = a.attempt + 1
        WHERE a.finished_at IS NULL OR a.finished_at > b.started_at
    """,
    "an attempt is open though its task is not running": """
        SELECT a.task_id, a.attempt, t.state FROM task_attempts a JOIN tasks t ON t.id = a.task_id
        WHERE a.finished_at IS NULL AND (t.state <> 'running' OR t.attempt <> a.attempt)
    """,
    "a completed task has no result, or another has one": """
        SELECT id, state FROM tasks WHERE (result IS NOT NULL) <> (state = 'completed')
    """,
    "a completed task was not completed by its last attempt": """
        SELECT t.id FROM tasks t LEFT JOIN task_attempts a
            ON a.task_id = t.id AND a.attempt = t.attempt
        WHERE t.state = 'completed' AND a.outcome IS DISTINCT FROM 'completed'
    """,
    "a task used more attempts than it had": """
        SELECT id, attempt, max_attempts FROM tasks WHERE attempt > max_attempts
    """,
}


def violations(database: Database) -> list[str]:
    """Empty when every promise was kept."""
    found: list[str] = []
    with database.transaction() as connection:
        for rule, query in RULES.items():
            rows = connection.execute(text(query)).all()
            found += [f"{rule}: {tuple(row)}" for row in rows[:5]]
    return found
