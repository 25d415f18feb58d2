"""Reads the tables afterwards and lists every promise that was broken.

Each rule is a query whose rows are its violations. Deleted and pruned tasks take their history
along, so what is left can be checked at any time, also while everything runs. What a query cannot
say is asked in `core/verification.py`.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from automagik.core.tasks.states import TRANSITIONS

PER_RULE = 20
"""How many violations of one rule are told."""

_ALLOWED = ", ".join(
    f"('{origin}', '{target}')" for origin, targets in TRANSITIONS.items() for target in targets
)

RULES = {
    "an occurrence has one task": """
        SELECT schedule_id, scheduled_for FROM tasks
        WHERE schedule_id IS NOT NULL AND scheduled_for IS NOT NULL
        GROUP BY 1, 2 HAVING count(*) > 1
    """,
    "the last event of a task is its state": """
        SELECT t.id AS task_id, t.state, e.to_state FROM tasks t
        LEFT JOIN LATERAL (
            SELECT to_state FROM task_events WHERE task_id = t.id ORDER BY id DESC LIMIT 1
        ) e ON true
        WHERE e.to_state IS DISTINCT FROM t.state
    """,
    "the events of a task are a path": """
        SELECT task_id, id AS event_id, came_from, from_state FROM (
            SELECT task_id, id, from_state,
                lag(to_state) OVER (PARTITION BY task_id ORDER BY id) AS came_from
            FROM task_events
        ) e
        WHERE from_state IS DISTINCT FROM came_from
    """,
    "each event is a step that a task may take": f"""
        SELECT task_id, id AS event_id, from_state, to_state FROM task_events
        WHERE from_state IS NOT NULL AND (from_state, to_state) NOT IN ({_ALLOWED})
    """,  # noqa: S608  (words of our own)
    "a task ends once, and once more for each retry by hand": """
        SELECT task_id FROM task_events
        WHERE to_state IN ('completed', 'failed', 'cancelled')
            OR from_state IN ('failed', 'cancelled')
        GROUP BY task_id
        HAVING count(*) FILTER (WHERE to_state IN ('completed', 'failed', 'cancelled'))
            > 1 + count(*) FILTER (WHERE from_state IN ('failed', 'cancelled'))
    """,
    "the attempts of a task are 1, 2, 3 and so on": """
        SELECT t.id AS task_id, t.attempt FROM tasks t
        LEFT JOIN task_attempts a ON a.task_id = t.id
        GROUP BY t.id, t.attempt
        HAVING array_remove(array_agg(a.attempt ORDER BY a.attempt), NULL)
            <> ARRAY(SELECT generate_series(1, t.attempt))
    """,
    "each attempt begins with an event of its own": """
        SELECT a.task_id, a.attempt FROM task_attempts a
        LEFT JOIN task_events e
            ON e.task_id = a.task_id AND e.attempt = a.attempt AND e.to_state = 'running'
        GROUP BY a.task_id, a.attempt HAVING count(e.id) <> 1
    """,
    "an attempt begins after the one before has ended": """
        SELECT b.task_id, b.attempt FROM task_attempts a
        JOIN task_attempts b ON b.task_id = a.task_id AND b.attempt = a.attempt + 1
        WHERE a.finished_at IS NULL OR a.finished_at > b.started_at
    """,
    "only the last attempt of a running task is open": """
        SELECT a.task_id, a.attempt, t.state FROM task_attempts a JOIN tasks t ON t.id = a.task_id
        WHERE a.finished_at IS NULL AND (t.state <> 'running' OR t.attempt <> a.attempt)
    """,
    "a running task has an open attempt": """
        SELECT t.id AS task_id, t.attempt FROM tasks t
        LEFT JOIN task_attempts a ON a.task_id = t.id AND a.attempt = t.attempt
        WHERE t.state = 'running' AND (a.task_id IS NULL OR a.finished_at IS NOT NULL)
    """,
    "completed tasks have a result and others have none": """
        SELECT id AS task_id, state FROM tasks WHERE (result IS NOT NULL) <> (state = 'completed')
    """,
    "a completed task was completed by its last attempt": """
        SELECT t.id AS task_id, a.outcome FROM tasks t
        LEFT JOIN task_attempts a ON a.task_id = t.id AND a.attempt = t.attempt
        WHERE t.state = 'completed' AND a.outcome IS DISTINCT FROM 'completed'
    """,
    "an attempt that completed is the last of a completed task": """
        SELECT a.task_id, a.attempt, t.state FROM task_attempts a JOIN tasks t ON t.id = a.task_id
        WHERE a.outcome = 'completed' AND (t.state <> 'completed' OR t.attempt <> a.attempt)
    """,
    "a task that runs at most once has no attempt after a lost worker": """
        SELECT b.task_id, b.attempt FROM tasks t
        JOIN task_attempts a ON a.task_id = t.id AND a.outcome = 'worker_lost'
        JOIN task_attempts b ON b.task_id = t.id AND b.attempt = a.attempt + 1
        WHERE t.at_most_once AND NOT EXISTS (
            SELECT FROM task_events e
            WHERE e.task_id = t.id AND e.attempt = a.attempt AND e.from_state = 'failed'
        )
    """,
    "a run follows an end of the run before": """
        SELECT t.id AS task_id, p.id AS parent_task_id, t.parent_attempt FROM tasks t
        JOIN tasks p ON p.id = t.parent_task_id
        LEFT JOIN task_events e ON e.task_id = p.id AND e.attempt = t.parent_attempt
            AND e.to_state IN ('completed', 'failed')
        WHERE e.id IS NULL
    """,
    "a task uses no more attempts than it has": """
        SELECT id AS task_id, attempt, max_attempts FROM tasks WHERE attempt > max_attempts
    """,
}


# A plain LIMIT would make PostgreSQL plan for finding some soon, where it reads all and finds none.
_FOUND = f"WITH found AS MATERIALIZED ({{query}}) SELECT * FROM found LIMIT {PER_RULE}"  # noqa: S608


@dataclass(frozen=True, kw_only=True, slots=True)
class Violation:
    """A broken promise, and the ids by which to look into it."""

    rule: str
    details: dict[str, Any]

    def __str__(self) -> str:
        told = ", ".join(f"{name} {value}" for name, value in self.details.items())
        return f"{self.rule}: {told}"


def broken_rules(connection: Connection) -> list[Violation]:
    """Empty when every promise was kept. Reads all of the history; a snapshot keeps it coherent."""
    return [
        Violation(rule=rule, details=dict(row))
        for rule, query in RULES.items()
        for row in connection.execute(text(_FOUND.format(query=query))).mappings()
    ]
