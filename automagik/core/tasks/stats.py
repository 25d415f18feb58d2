"""How many runs there were, how they ended, how long they waited and how long they took."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, text

from automagik.core.tasks.states import FINAL

MOST = 50_000
"""So many tasks are looked at, the newest."""
SPANS = 24
"""In so many equal parts of the time the ends are counted."""
_SHARES = (0.5, 0.95, 0.99)

# The waiting and the duration of the latest attempt: those before are part of the history. Each
# outcome is a walk along ix_tasks_ended, and the newest of all are merged.
_ENDED = " UNION ALL ".join(
    f"""
    (
        SELECT flow_id, state, finished_at, run_at, started_at FROM tasks
        WHERE state = '{state}' AND finished_at > now() - :age
        ORDER BY finished_at DESC LIMIT :most
    )
    """  # noqa: S608  (a word of our own)
    for state in sorted(FINAL)
)
_FIGURES = """
count(*) AS tasks,
count(*) FILTER (WHERE state = 'completed') AS completed,
count(*) FILTER (WHERE state = 'failed') AS failed,
count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
min(finished_at) AS since,
percentile_cont(CAST(:shares AS float[])) WITHIN GROUP (ORDER BY waited) AS waits,
percentile_cont(CAST(:shares AS float[])) WITHIN GROUP (ORDER BY took) AS durations
"""

# One look at the rows for all of it: per flow, of all flows, and per part of the time. Seconds are
# floating point numbers, as to sort those of PostgreSQL's `extract` takes three times as long.
_STATS = text(f"""
WITH ended AS MATERIALIZED (
    SELECT flow_id, state, finished_at,
        least(:spans, 1 + floor(
            date_part('epoch', now() - finished_at)
            / date_part('epoch', CAST(:age AS interval)) * :spans))::int AS spans_ago,
        CASE WHEN state <> 'cancelled'
            THEN greatest(date_part('epoch', started_at - run_at), 0) END AS waited,
        CASE WHEN state <> 'cancelled'
            THEN greatest(date_part('epoch', finished_at - started_at), 0) END AS took
    FROM ({_ENDED} ORDER BY finished_at DESC LIMIT :most) newest
), per_flow AS (
    SELECT flow_id, {_FIGURES} FROM ended GROUP BY flow_id
)
SELECT f.name AS flow, NULL::int AS spans_ago, p.tasks, p.completed, p.failed, p.cancelled, p.since,
    p.waits, p.durations
FROM per_flow p JOIN flows f ON f.id = p.flow_id
UNION ALL
SELECT NULL, NULL, {_FIGURES} FROM ended
UNION ALL
SELECT NULL, spans_ago, count(*), NULL, count(*) FILTER (WHERE state = 'failed'), NULL, NULL, NULL,
    NULL
FROM ended GROUP BY spans_ago
ORDER BY tasks DESC, flow
""")  # noqa: S608  (constants)


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantiles:
    """Half, 95 and 99 of a hundred runs stayed below; None where nothing was measured."""

    p50: timedelta | None
    p95: timedelta | None
    p99: timedelta | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Runs:
    """What ended of one flow, or of all."""

    flow: str | None
    """None: of all flows."""
    tasks: int
    completed: int
    failed: int
    cancelled: int
    per_minute: float
    waited: Quantiles
    """From the instant at which it was due to its start."""
    took: Quantiles

    @property
    def success_rate(self) -> float | None:
        """Of those that were not cancelled."""
        ended = self.completed + self.failed
        return self.completed / ended if ended else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Stats:
    """What ended within a time."""

    age: timedelta
    is_cut: bool
    """Whether there was more than MOST, and `since` is later than it was asked for."""
    since: datetime | None
    """The first end that was counted; None: there was none."""
    all_flows: Runs | None
    flows: Sequence[Runs]
    """What ended oftest first."""
    ends: Sequence[int]
    """In SPANS equal parts of the time, the oldest first."""
    failures: Sequence[int]


def stats(connection: Connection, *, age: timedelta) -> Stats:
    """Of the tasks that ended within the age."""
    arguments = {"age": age, "most": MOST, "spans": SPANS, "shares": list(_SHARES)}
    rows = connection.execute(_STATS, arguments).mappings().all()
    spans = [row for row in rows if row["spans_ago"] is not None]
    [whole] = [row for row in rows if row["spans_ago"] is None and row["flow"] is None]
    return Stats(
        age=age,
        is_cut=whole["tasks"] >= MOST,
        since=whole["since"],
        all_flows=_runs(whole, age) if whole["tasks"] else None,
        flows=[_runs(row, age) for row in rows if row["flow"] is not None],
        ends=_series(spans, "tasks"),
        failures=_series(spans, "failed"),
    )


def _runs(row: RowMapping, age: timedelta) -> Runs:
    counts = {name: row[name] for name in ("flow", "tasks", "completed", "failed", "cancelled")}
    return Runs(
        **counts,
        per_minute=row["tasks"] / (age / timedelta(minutes=1)),
        waited=_quantiles(row["waits"]),
        took=_quantiles(row["durations"]),
    )


def _quantiles(seconds: Sequence[float] | None) -> Quantiles:
    if seconds is None:
        return Quantiles(p50=None, p95=None, p99=None)
    p50, p95, p99 = (timedelta(seconds=each) for each in seconds)
    return Quantiles(p50=p50, p95=p95, p99=p99)


def _series(rows: Sequence[RowMapping], name: str) -> list[int]:
    by_span = {row["spans_ago"]: row[name] for row in rows}
    return [by_span.get(ago, 0) for ago in range(SPANS, 0, -1)]
