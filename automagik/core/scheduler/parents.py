"""The run that a chain follows, as the template of its input sees it."""

from sqlalchemy import Connection, RowMapping, text

from automagik.core.exceptions import Conflict
from automagik.core.scheduler.after import End
from automagik.core.scheduler.input_template import InputTemplate, Parent, Place, parse_template
from automagik.core.scheduler.values import Schedule

# `c` is the chain, `t` the task, `a` its attempt that ended. What may be large is read only where
# the template has need of it. A task that was retried meanwhile has forgotten its error.
PARENT_COLUMNS = """
t.id AS parent_task_id, pf.name AS parent_flow, ps.name AS parent_schedule,
t.state = 'completed' AND t.attempt = a.attempt AS completed,
CASE WHEN c.input_value LIKE '%input%' THEN t.input_value END AS parent_input,
CASE WHEN c.input_value LIKE '%output%' THEN t.output_text END AS parent_output,
CASE WHEN c.input_value LIKE '%result%' THEN t.result END AS parent_answer,
a.error_code AS parent_error_code, a.error_message AS parent_error
"""
PARENT_NAMES = """
JOIN flows pf ON pf.id = t.flow_id LEFT JOIN schedules ps ON ps.id = t.schedule_id
"""

# One of the two is null and finds nothing; apart, each reads its index. Runs of backfills start
# nothing.
_LATEST_OF = " UNION ALL ".join(
    f"""
    (
        SELECT * FROM tasks
        WHERE {noun}_id = c.after_{noun}_id AND state = ANY(:states) AND backfill_id IS NULL
        ORDER BY id DESC LIMIT 1
    )
    """  # noqa: S608  (constants)
    for noun in ("schedule", "flow")
)
_LATEST = text(f"""
SELECT {PARENT_COLUMNS}, t.finished_at AS ended_at
FROM schedules c
JOIN LATERAL ({_LATEST_OF}) t ON true
JOIN task_attempts a ON a.task_id = t.id AND a.attempt = t.attempt
{PARENT_NAMES}
WHERE c.id = :id
""")  # noqa: S608  (constants)
_STATES = {End.FAILED: ["failed"], End.ANY: ["completed", "failed"]}


def parent_of(row: RowMapping) -> Parent:
    """Of a row with PARENT_COLUMNS and `ended_at`."""
    completed = row["completed"]
    return Parent(
        task_id=row["parent_task_id"],
        flow=row["parent_flow"],
        schedule=row["parent_schedule"],
        state="completed" if completed else "failed",
        finished_at=row["ended_at"],
        input_value=row["parent_input"] or "",
        output=row["parent_output"] if completed else None,
        answer=row["parent_answer"] if completed else None,
        error=None if completed else row["parent_error"],
        error_code=None if completed else row["parent_error_code"],
    )


def latest_input(connection: Connection, chain: Schedule) -> str:
    """The input of a run by hand: filled in from the latest run that it would have followed.

    Raises Conflict when there is none, and InvalidInput when the template does not fit it.
    """
    template = parse_template(chain.run_input.input_value)
    if chain.after is None or not _asks(template):
        return "".join(part for part in template.parts if isinstance(part, str))
    states = _STATES.get(chain.after.end, ["completed"])
    arguments = {"id": chain.id, "states": states}
    found = connection.execute(_LATEST, arguments).mappings().one_or_none()
    if found is None:
        raise Conflict(
            f"There is no run yet that {chain.name!r} could follow, so its input has no values.",
            hint=f"Give it one: automagik schedules trigger {chain.name} --input TEXT",
        )
    return template.render(parent_of(found))


def _asks(template: InputTemplate) -> bool:
    return any(isinstance(part, Place) for part in template.parts)
