"""What is wrong afterwards: the history checker's violations, and what only this run can know."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

import psutil

from tests.system.chaos.stage import POISON, Stage
from tests.system.history import violations
from tests.system.occurrences import expected, fired

TOLD = 20
"""How many violations of one kind are told."""


def findings(
    stage: Stage, *, begun: datetime, end: datetime, accepted: Sequence[UUID]
) -> list[str]:
    """Empty when every promise was kept. Everything must have stopped."""
    return [
        *violations(stage.fleet.database),
        *_first(_wrong_occurrences(stage, begun=begun, end=end)),
        *_first(_lost_runs(stage, accepted)),
        *_first(_unfinished(stage)),
        *_first(_needless_calls(stage)),
        *_first(_survived_poison(stage)),
        *_first(_left_running(stage)),
    ]


def _first(told: Iterator[str]) -> Iterator[str]:
    return (line for line, _ in zip(told, range(TOLD), strict=False))


def _wrong_occurrences(stage: Stage, *, begun: datetime, end: datetime) -> Iterator[str]:
    due = expected(stage.fleet, begun=begun, end=end)
    done = Counter(o for o in fired(stage.fleet, end=end) if o[1] > begun)
    yield from (f"an occurrence has no task: {missing}" for missing in due - done.keys())
    yield from (f"a task has no occurrence: {extra}" for extra in done.keys() - due)
    yield from (f"an occurrence has {n} tasks: {o}" for o, n in done.items() if n > 1)


def _lost_runs(stage: Stage, accepted: Sequence[UUID]) -> Iterator[str]:
    known = {row.id for row in stage.fleet.rows("SELECT id FROM tasks")}
    yield from (f"an accepted run is lost: {run}" for run in accepted if run not in known)


def _unfinished(stage: Stage) -> Iterator[str]:
    query = "SELECT id, state, attempt, state_reason FROM tasks WHERE finished_at IS NULL"
    yield from (f"a task has not ended: {tuple(row)}" for row in stage.fleet.rows(query))


def _needless_calls(stage: Stage) -> Iterator[str]:
    """An attempt calls its flow once at most. The session of a run is its task."""
    calls = Counter(run.session_id for run in stage.server.runs)
    query = "SELECT id::text, attempt FROM tasks"
    for row in stage.fleet.rows(query):
        if calls[row.id] > row.attempt:
            yield f"{calls[row.id]} calls in {row.attempt} attempts: {row.id}"


def _survived_poison(stage: Stage) -> Iterator[str]:
    query = """
    SELECT t.id, t.state, t.error_code, t.attempt FROM tasks t JOIN flows f ON f.id = t.flow_id
    WHERE f.name = :poison AND (t.state, t.error_code, t.attempt)
        IS DISTINCT FROM ('failed', 'AM-WORKER-LOST', t.max_attempts)
    """
    for row in stage.fleet.rows(query, poison=POISON):
        yield f"a flow that kills its worker did not come to its end: {tuple(row)}"


def _left_running(stage: Stage) -> Iterator[str]:
    """Processes with the environment of this run's beats and workers."""
    home = str(stage.settings.home)
    for process in psutil.process_iter():
        try:
            is_ours = process.environ().get("AUTOMAGIK_HOME") == home
        except psutil.Error:
            continue
        if is_ours and process.status() != psutil.STATUS_ZOMBIE:
            yield f"a process is left: {process.pid} {process.cmdline()}"
