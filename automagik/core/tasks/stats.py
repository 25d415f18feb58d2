"""How many runs there were, how they ended, how long they waited and how long they took."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, text

MOST = 100_000
"""So many tasks are looked at, the newest."""
SPANS = 24
"""In so many equal parts of the time the ends are counted."""
_SHARES = (0.5, 0.95, 0.99)

# The waiting and the duration of the latest attempt: those before are part of the history.
_ENDED = """
SELECT t.flow_id, t.state, t.finished_at, t.started_at - t.run_at AS waited,
    t.finished_at - t.started_at AS took
FROM tasks t WHERE t.finished_at > now() - :age
ORDER BY t.finished_at DESC LIMIT :most
"""

_PER_FLOW = text(f"""
WITH ended AS MATERIALIZED ({_ENDED})
SELECT f.name AS flow, count(*) AS tasks,
    count(*) FILTER (WHERE e.state = 'completed') AS completed,
    count(*) FILTER (WHERE e.state = 'failed') AS failed,
    count(*) FILTER (WHERE e.state = 'cancelled') AS cancelled,
    min(e.finished_at) AS since,
    percentile_cont(CAST(:shares AS float[])) WITHIN GROUP (ORDER BY greatest(
        extract(epoch FROM e.waited), 0)) FILTER (WHERE e.state <> 'cancelled') AS waits,
    percentile_cont(CAST(:shares AS float[])) WITHIN GROUP (ORDER BY greatest(
        extract(epoch FROM e.took), 0)) FILTER (WHERE e.state <> 'cancelled') AS durations
FROM ended e JOIN flows f ON f.id = e.flow_id
GROUP BY GROUPING SETS ((f.id, f.name), ())
ORDER BY count(*) DESC, f.name
""")  # noqa: S608  (a constant)

_PER_SPAN = text(f"""
WITH ended AS MATERIALIZED ({_ENDED})
SELECT least(:spans, 1 + floor(
        extract(epoch FROM now() - finished_at) / extract(epoch FROM CAST(:age AS interval))
        * :spans))::int AS spans_ago,
    count(*) AS tasks, count(*) FILTER (WHERE state = 'failed') AS failed
FROM ended GROUP BY 1
""")  # noqa: S608  (a constant)


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
    arguments = {"age": age, "most": MOST}
    rows = connection.execute(_PER_FLOW, {**arguments, "shares": list(_SHARES)}).mappings().all()
    whole = next((row for row in rows if row["flow"] is None), None)
    spans = connection.execute(_PER_SPAN, {**arguments, "spans": SPANS}).mappings().all()
    counted = whole is not None and whole["tasks"] > 0
    return Stats(
        age=age,
        is_cut=whole is not None and whole["tasks"] >= MOST,
        since=whole["since"] if whole else None,
        all_flows=_runs(whole, age) if whole and counted else None,
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
