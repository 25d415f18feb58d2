"""Runs that have ended start the runs of chains: one transaction per batch, each end at most once.

The database's trigger has noted each end together with the end itself. A note goes in the
transaction that makes its task, or its reason for having none; so a beat may die at any time.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import inf
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, RowMapping, text
from sqlalchemy.exc import DBAPIError

from automagik.core.config import Settings
from automagik.core.database.base import new_id
from automagik.core.database.trouble import trouble_of
from automagik.core.exceptions import InvalidInput
from automagik.core.scheduler.failing import failing, why_paused
from automagik.core.scheduler.input_template import parse_template
from automagik.core.scheduler.new_tasks import as_json, insert_tasks
from automagik.core.scheduler.overlap import cancel_others, count_unfinished
from automagik.core.scheduler.parents import PARENT_COLUMNS, PARENT_NAMES, parent_of
from automagik.core.scheduler.policies import Overlap, Policies
from automagik.core.scheduler.policy_columns import COLUMNS, policies_of
from automagik.core.scheduler.skipped import tell_skipped
from automagik.core.tasks.states import HAS_RUN

logger = logging.getLogger(__name__)

AT_A_TIME = 20
"""So many ends in one transaction: each may bring along an answer of megabytes."""

# Of the schedule or of the flow that a chain follows: the other is null and finds nothing. Apart,
# each reads its index from one end. Runs of backfills belong to no series.
_OF_SERIES = " UNION ALL ".join(
    f"""
    (
        SELECT r.state FROM tasks r
        WHERE r.{noun}_id = c.after_{noun}_id AND {{which}}
            AND r.{HAS_RUN} AND r.backfill_id IS NULL
        ORDER BY r.id {{order}} LIMIT 1
    )
    """  # noqa: S608  (constants)
    for noun in ("schedule", "flow")
)
_ONE_BEFORE = _OF_SERIES.format(which="r.id < t.id AND r.finished_at <= u.ended_at", order="DESC")
_ONE_AFTER = _OF_SERIES.format(which="r.id > t.id AND r.finished_at < u.ended_at", order="ASC")
# Of what had ended by then: the run itself, retried by hand, or the one before had failed, and no
# later one has ended, which would have recovered it already.
_RECOVERED = f"""
(
    EXISTS (SELECT FROM task_events e WHERE e.task_id = t.id AND e.from_state = 'failed')
    OR 'failed' IN ({_ONE_BEFORE})
) AND NOT EXISTS ({_ONE_AFTER})
"""

# It waits for nobody: what somebody holds stays for the next time. Who deletes a task or a chain
# waits for us.
_TAKE = text(f"""
SELECT u.id AS follow_up_id, u.ended_at, u.parent_attempt, {PARENT_COLUMNS},
    c.id, c.name, c.status, c.expr, c.input_value, c.runs,
    {", ".join(f"c.{name}" for name in COLUMNS)},
    f.gone_at, s.disabled_at, t.traceparent AS parent_traceparent,
    coalesce(t.schedule_id = c.after_schedule_id, t.flow_id = c.after_flow_id, false) AS is_parent,
    CASE WHEN c.expr = 'recovered' THEN {_RECOVERED} END AS recovered
FROM follow_ups u
JOIN schedules c ON c.id = u.schedule_id AND c.type = 'after'
JOIN flows f ON f.id = c.flow_id
JOIN sources s ON s.id = f.source_id
JOIN tasks t ON t.id = u.parent_task_id
JOIN task_attempts a ON a.task_id = t.id AND a.attempt = u.parent_attempt
{PARENT_NAMES}
ORDER BY u.id
LIMIT :batch
FOR UPDATE OF u SKIP LOCKED
FOR NO KEY UPDATE OF c SKIP LOCKED
FOR KEY SHARE OF t SKIP LOCKED
""")  # noqa: S608  (constants)

_DONE = text("DELETE FROM follow_ups WHERE id = ANY(:ids)")

_FORGET = text("""
DELETE FROM follow_ups WHERE id IN (
    SELECT u.id FROM follow_ups u
    LEFT JOIN schedules c ON c.id = u.schedule_id AND c.type = 'after'
    LEFT JOIN task_attempts a ON a.task_id = u.parent_task_id AND a.attempt = u.parent_attempt
    WHERE c.id IS NULL OR a.task_id IS NULL
    ORDER BY u.id LIMIT :batch
    FOR UPDATE OF u SKIP LOCKED
)
""")

_MOVE = text("""
UPDATE schedules SET runs = runs + :made, last_run_at = greatest(last_run_at, :ran_at),
    status = coalesce(:status, status), status_reason = coalesce(:reason, status_reason)
WHERE id = :id
""")


def follow_up(connection: Connection, *, settings: Settings, actor: str) -> int:
    """Turns one batch of ends into runs of chains; returns how many ends were served.

    What has lost its chain or its run is forgotten.
    """
    taken = connection.execute(_TAKE, {"batch": AT_A_TIME}).mappings().all()
    for _, ends in groupby(sorted(taken, key=_by_chain), key=itemgetter("id")):
        _serve(connection, list(ends), settings=settings, actor=actor)
    if taken:
        connection.execute(_DONE, {"ids": [row["follow_up_id"] for row in taken]})
    forgotten = 0
    if len(taken) < AT_A_TIME:
        forgotten = connection.execute(_FORGET, {"batch": AT_A_TIME}).rowcount
    return len(taken) + forgotten


def _by_chain(row: RowMapping) -> tuple[Any, int]:
    return row["id"], row["follow_up_id"]


def _serve(
    connection: Connection, ends: Sequence[RowMapping], *, settings: Settings, actor: str
) -> None:
    """All ends of one chain, oldest first: whatever is wrong with it does not stop the others.

    What is wrong with the database says nothing about the chain: raised, it leaves the notes.
    """
    try:
        with connection.begin_nested():
            _write(connection, _move(connection, ends), settings=settings, actor=actor)
    except Exception as error:
        if isinstance(error, DBAPIError) and trouble_of(error) is not None:
            raise
        name = ends[0]["name"]
        logger.exception("Schedule %s did not follow", name, extra={"schedule": name})
        tell_skipped(connection, [_skipped(row, "error") for row in ends])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Move:
    """The rows that the ends come to."""

    chain: RowMapping
    tasks: Sequence[Mapping[str, Any]] = ()
    skipped: Sequence[Mapping[str, Any]] = ()
    status: str | None = None
    """A new one."""
    reason: str | None = None

    @property
    def clock(self) -> Mapping[str, Any]:
        ran_at = max((task["ended_at"] for task in self.tasks), default=None)
        return {
            "id": self.chain["id"],
            "made": len(self.tasks),
            "ran_at": ran_at,
            "status": self.status,
            "reason": self.reason,
        }


def _move(connection: Connection, ends: Sequence[RowMapping]) -> _Move:
    chain, wanted = ends[0], [row for row in ends if is_awaited(row)]
    if reason := why_none(chain):
        return _Move(chain=chain, skipped=[_skipped(row, reason) for row in wanted])
    watched = [chain["id"]] if chain["pause_after_failures"] is not None else []
    if wanted and failing(connection, watched):
        return _Move(
            chain=chain,
            skipped=[_skipped(row, "paused") for row in wanted],
            status="paused",
            reason=why_paused(chain["pause_after_failures"]),
        )
    return _chosen(connection, chain, wanted)


def is_awaited(row: RowMapping) -> bool:
    """Whether its chain waits for this end: it may have been changed since."""
    if not row["is_parent"]:
        return False
    match row["expr"]:
        case "any":
            return True
        case "failed":
            return not row["completed"]
        case "recovered":
            return bool(row["completed"] and row["recovered"])
    return bool(row["completed"])


def why_none(chain: RowMapping) -> str | None:
    """Why it starts no runs at all now, in the words of the record."""
    if chain["gone_at"] is not None:
        return "flow-gone"
    if chain["disabled_at"] is not None:
        return "source-disabled"
    return {"paused": "paused", "completed": "max-runs", "error": "error"}.get(chain["status"])


def _chosen(connection: Connection, chain: RowMapping, wanted: Sequence[RowMapping]) -> _Move:
    policies = policies_of(chain)
    inputs = {row["follow_up_id"]: _input(row) for row in wanted}
    able = [row for row in wanted if inputs[row["follow_up_id"]] is not None]
    unable = [row for row in wanted if inputs[row["follow_up_id"]] is None]
    unfinished = 0
    if able and policies.overlap.looks_back:
        unfinished = count_unfinished(connection, [chain["id"]]).get(chain["id"], 0)
    fates = choose(len(able), policies=policies, unfinished=unfinished, runs=chain["runs"])
    pairs = list(zip(able, fates, strict=True))
    tasks = [
        _task(row, policies, inputs[row["follow_up_id"]]) for row, fate in pairs if fate is None
    ]
    skipped = [_skipped(row, fate) for row, fate in pairs if fate is not None]
    is_used_up = policies.max_runs is not None and chain["runs"] + len(tasks) >= policies.max_runs
    return _Move(
        chain=chain,
        tasks=tasks,
        skipped=[*skipped, *(_skipped(row, "input") for row in unable)],
        status="completed" if is_used_up else None,
        reason=f"it has made all of its runs: {policies.max_runs}" if is_used_up else None,
    )


def choose(count: int, *, policies: Policies, unfinished: int, runs: int) -> Sequence[str | None]:
    """What becomes of so many ends, oldest first: None is a run, else the reason for none. Pure.

    Where a run replaces the others, only the newest need begin.
    """
    return list(_fates(count, policies=policies, unfinished=unfinished, runs=runs))


def _fates(count: int, *, policies: Policies, unfinished: int, runs: int) -> Iterator[str | None]:
    overlap, made = policies.overlap, 0
    most = inf if overlap.most is None else overlap.most
    for number in range(count):
        if policies.max_runs is not None and runs + made >= policies.max_runs:
            yield "max-runs"
        elif number < count - 1 if overlap.replaces else unfinished + made >= most:
            yield "overlap"
        else:
            made += 1
            yield None


def _input(row: RowMapping) -> str | None:
    """None when it cannot be made; why stands in the log, without any of the text."""
    try:
        return parse_template(row["input_value"]).render(parent_of(row))
    except (InvalidInput, RecursionError) as error:
        why = error.message if isinstance(error, InvalidInput) else "it is nested too deeply"
        chain, task = row["name"], row["parent_task_id"]
        about = {"schedule": chain, "task_id": str(task)}
        words = "Schedule %s has no input for a run after task %s: %s"
        logger.warning(words, chain, task, why, extra=about)
        return None


def _write(connection: Connection, move: _Move, *, settings: Settings, actor: str) -> None:
    if move.tasks and Overlap(move.chain["overlap"]).replaces:
        cancel_others(connection, as_json(move.tasks), actor=actor)
    insert_tasks(connection, move.tasks, settings=settings, actor=actor)
    if move.tasks or move.status is not None:
        connection.execute(_MOVE, move.clock)
    tell_skipped(connection, move.skipped)


def _task(row: RowMapping, policies: Policies, input_value: str | None) -> Mapping[str, Any]:
    """Ids grow, so that the turn of a task is the place of its end."""
    return {
        "id": new_id(),
        "schedule_id": row["id"],
        "parent_task_id": row["parent_task_id"],
        "parent_attempt": row["parent_attempt"],
        "run_at": row["ended_at"] + policies.delay(row["id"], row["ended_at"]),
        "input_value": input_value,
        "in_turn": policies.overlap.waits,
        "state_reason": f"follows task {row['parent_task_id']}",
        "ended_at": row["ended_at"],
        "parent_traceparent": row["parent_traceparent"],
    }


def _skipped(row: RowMapping, reason: str) -> Mapping[str, Any]:
    at = row["ended_at"]
    return {"schedule_id": row["id"], "first_at": at, "last_at": at, "reason": reason}
