"""Due schedules become tasks: one transaction per batch, one task per occurrence.

A schedule that makes up for a backlog is served apart from those that are on time, a few of them
and a part of each at a time, so that the others do not wait. Its tasks yield to live ones.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from automagik.core.config import Settings
from automagik.core.database.base import new_id
from automagik.core.database.prepared import Prepared
from automagik.core.exceptions import AutomagikError
from automagik.core.scheduler.batch import BATCH
from automagik.core.scheduler.calendar_days import days_of
from automagik.core.scheduler.exceptions import FlowGone
from automagik.core.scheduler.failing import failing, why_paused
from automagik.core.scheduler.new_tasks import INSERT, TYPES, arguments, as_json
from automagik.core.scheduler.overlap import cancel_others, count_unfinished
from automagik.core.scheduler.plan import Firing, Run, Skipped, Standing, Told, plan
from automagik.core.scheduler.policies import Overlap, Policies
from automagik.core.scheduler.policy_columns import COLUMNS, policies_of
from automagik.core.scheduler.rule import DaysOf, LeftOut, Rule, rule_of
from automagik.core.scheduler.rule_text import RULE_COLUMNS
from automagik.core.scheduler.skipped import tell_skipped

logger = logging.getLogger(__name__)

Row = Mapping[str, Any]

CATCHING_UP = 10
"""So many schedules with a backlog are served in one transaction."""
YIELD = 100
"""By so many points of priority a run that makes up for a missed one yields to live ones."""

_PROGRESS = ("runs", "caught_up_from", "caught_up_until")
_READ = ", ".join(
    f"s.{name}" for name in ("id", "next_run_at", *RULE_COLUMNS, *_PROGRESS, *COLUMNS)
)

# Where its clock stood before: each occurrence until then has a task or a reason.
_PASSED_AT = """
CASE WHEN s.exclusions <> '[]' OR s.calendar IS NOT NULL OR s.quiet_hours IS NOT NULL
    OR s.starts_at IS NOT NULL
THEN greatest(s.counts_from, s.last_run_at, (
    SELECT max(o.last_at) FROM skipped_occurrences o
    WHERE o.schedule_id = s.id AND o.first_at > greatest(s.counts_from, s.last_run_at)
)) END
"""
_DUE = f"""
SELECT {_READ}, {_PASSED_AT} AS passed_at, f.gone_at, now() AS now,
    o.disabled_at IS NOT NULL AS is_disabled
FROM schedules s JOIN flows f ON f.id = s.flow_id JOIN sources o ON o.id = f.source_id
WHERE s.status = 'active' AND s.next_run_at <= now() AND {{which}}
ORDER BY s.next_run_at
FOR UPDATE OF s SKIP LOCKED
LIMIT {{batch}}
"""  # noqa: S608  (constants)
_IS_LATE = """
now() - s.next_run_at > make_interval(secs => least(
    coalesce(s.misfire_grace_seconds, :grace), 1e10))
"""
_TAKE_DUE = Prepared(
    "take_due",
    f"""
WITH on_time AS (
    {_DUE.format(which=f"(s.misfire <> 'run-all' OR NOT {_IS_LATE})", batch=BATCH)}
), behind AS (
    {_DUE.format(which=f"s.misfire = 'run-all' AND {_IS_LATE}", batch=CATCHING_UP)}
)
SELECT * FROM on_time UNION ALL SELECT * FROM behind
""",  # noqa: S608  (constants)
    grace="double precision",
)

_RECORD = Prepared(
    "record",
    f"""
WITH moved AS (
    UPDATE schedules SET next_run_at = r.next_run_at, last_run_at = greatest(r.ran_at, last_run_at),
        runs = runs + coalesce(r.made, 0), caught_up_from = r.told_since,
        caught_up_until = r.told_until, status = r.status, status_reason = r.status_reason,
        held_from = r.held_from
    FROM jsonb_to_recordset(:clocks) AS r (id uuid, next_run_at timestamptz,
        ran_at timestamptz, made int, told_since timestamptz, told_until timestamptz, status text,
        status_reason text, held_from timestamptz)
    WHERE schedules.id = r.id
)
{INSERT}
""",  # noqa: S608  (the part is a constant)
    clocks="jsonb",
    **TYPES,
)


def fire(connection: Connection, *, settings: Settings, actor: str) -> int:
    """Turns one batch of due schedules into tasks; returns how many schedules were served."""
    grace = settings.misfire_grace_seconds
    due = _TAKE_DUE.run(connection, grace=grace)
    if not due:
        return 0
    moves = list(_moves(connection, due, timedelta(seconds=grace)))
    replacing = [task for move in moves if move.replaces for task in move.tasks]
    if replacing:
        cancel_others(connection, as_json(replacing), actor=actor)
    tasks = [task for move in moves for task in move.tasks]
    clocks = as_json([move.clock for move in moves])
    _RECORD.run(connection, clocks=clocks, **arguments(tasks, settings=settings, actor=actor))
    # What ran is known by now.
    tell_skipped(connection, [stretch for move in moves for stretch in move.skipped])
    return len(due)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Move:
    """The rows that a due schedule comes to; its occurrences are in one of the first two."""

    tasks: Sequence[Mapping[str, Any]] = ()
    skipped: Sequence[Mapping[str, Any]] = ()
    clock: Mapping[str, Any]
    replaces: bool = False


def _moves(connection: Connection, due: Sequence[Row], grace: timedelta) -> Iterator[_Move]:
    """Looks at the tasks of those schedules only whose policies ask for it."""
    watched = [row["id"] for row in due if row["pause_after_failures"] is not None]
    failed = failing(connection, watched)
    looking_back = [row["id"] for row in due if Overlap(row["overlap"]).looks_back]
    unfinished = count_unfinished(connection, looking_back)
    days = days_of(connection, {row["calendar"] for row in due if row["calendar"] is not None})
    for row in due:
        if row["id"] in failed:
            why = why_paused(row["pause_after_failures"])
            yield _paused(row, why)
        else:
            yield _move(row, grace, days.__getitem__, unfinished=unfinished.get(row["id"], 0))


def _move(row: Row, grace: timedelta, days: DaysOf, *, unfinished: int) -> _Move:
    try:
        return _planned(row, grace, days, unfinished=unfinished)
    except Exception as error:
        # Whatever is wrong with it: it is set aside with its reason and does not stop the others.
        logger.exception("Schedule %s is set aside", row["name"], extra={"schedule": row["name"]})
        known = isinstance(error, AutomagikError)
        why = str(error) if known else f"{type(error).__name__}: {error}"
        return _set_aside(row, why, skip="flow-gone" if row["gone_at"] else "error")


def _planned(row: Row, grace: timedelta, days: DaysOf, *, unfinished: int) -> _Move:
    policies, rule = policies_of(row), _rule(row, days)
    firing = _plan_row(row, rule, policies, grace, unfinished=unfinished)
    left_out = _left_out(row, rule, firing)
    return _Move(
        tasks=[_task(row, policies, run, number) for number, run in enumerate(firing.runs)],
        skipped=[
            *(_skipped(row, each.first_at, each.last_at, each.reason) for each in left_out),
            *(_skipped(row, each.first_at, each.last_at, each.reason) for each in firing.skipped),
        ],
        clock=_clock(row, firing, policies),
        replaces=policies.overlap.replaces,
    )


def _set_aside(row: Row, why: str, *, skip: str) -> _Move:
    """The occurrence that is due has no task; later ones are not told."""
    due = row["next_run_at"]
    return _Move(
        skipped=[_skipped(row, due, due, skip)],
        clock={"id": row["id"], "status": "error", "status_reason": why},
    )


def _paused(row: Row, why: str) -> _Move:
    """What is due is held back, as by a pause by hand."""
    return _Move(
        clock={
            "id": row["id"],
            "held_from": row["next_run_at"],
            "told_since": row["caught_up_from"],
            "told_until": row["caught_up_until"],
            "status": "paused",
            "status_reason": why,
        }
    )


def _plan_row(
    row: Row, rule: Rule, policies: Policies, grace: timedelta, *, unfinished: int
) -> Firing:
    if row["is_disabled"]:
        return _passed_by(row, rule, "source-disabled")
    told = None
    if row["caught_up_from"] is not None:
        told = Told(since=row["caught_up_from"], until=row["caught_up_until"])
    standing = Standing(
        due=row["next_run_at"],
        now=row["now"],
        unfinished=unfinished,
        runs=row["runs"],
        told=told,
    )
    own_grace = policies.misfire_grace
    return plan(
        rule,
        standing,
        policies=policies,
        grace=grace if own_grace is None else own_grace,
    )


def _passed_by(row: Row, rule: Rule, reason: str) -> Firing:
    """All that is due is skipped."""
    due, now = row["next_run_at"], row["now"]
    last = rule.latest_until(now, after=due) or due
    skipped = Skipped(first_at=due, last_at=last, reason=reason)
    return Firing(skipped=(skipped,), next_run_at=rule.next_after(now))


def _rule(row: Row, days: DaysOf) -> Rule:
    """Raises FlowGone and InvalidCadence."""
    if row["gone_at"] is not None:
        raise FlowGone
    return rule_of(row, days)


def _left_out(row: Row, rule: Rule, firing: Firing) -> Sequence[LeftOut]:
    """What the rule left out since its clock moved last, up to the newest that is told now."""
    if row["passed_at"] is None:
        return ()
    told = [*(run.at for run in firing.runs), *(each.last_at for each in firing.skipped)]
    return rule.left_out(row["passed_at"], max([row["next_run_at"], *told]))


def _clock(row: Row, firing: Firing, policies: Policies) -> Mapping[str, Any]:
    told = firing.told
    return {
        "id": row["id"],
        "next_run_at": firing.next_run_at,
        "ran_at": max((run.at for run in firing.runs), default=None),
        "made": len(firing.runs),
        "told_since": told and told.since,
        "told_until": told and told.until,
        "status": "completed" if firing.next_run_at is None else "active",
        "status_reason": _why_completed(firing, policies),
    }


def _why_completed(firing: Firing, policies: Policies) -> str | None:
    """The end of a rule needs no words, unless its last occurrence did not run."""
    if firing.is_used_up:
        return f"it has made all of its runs: {policies.max_runs}"
    if firing.next_run_at is None and not firing.runs:
        return f"its last occurrence was skipped: {firing.skipped[-1].reason}"
    return None


def _skipped(row: Row, first: datetime, last: datetime, reason: str) -> Mapping[str, Any]:
    return {"schedule_id": row["id"], "first_at": first, "last_at": last, "reason": reason}


def _task(row: Row, policies: Policies, run: Run, number: int) -> Mapping[str, Any]:
    """Ids grow, so that the turn of a task is its place in the plan.

    What catches up counts as waiting from now on: by its age it would come before all live runs.
    """
    run_at = run.at + policies.delay(row["id"], run.at)
    if run.catches_up:
        run_at = max(run_at, row["now"] + number * timedelta.resolution)
    reason = None
    if run.makes_up_since is not None:
        reason = f"makes up for all occurrences since {run.makes_up_since.isoformat()}"
    return {
        "id": new_id(),
        "schedule_id": row["id"],
        "scheduled_for": run.at,
        "run_at": run_at,
        "yields": YIELD if run.catches_up else 0,
        "in_turn": policies.overlap.waits,
        "state_reason": reason,
    }
