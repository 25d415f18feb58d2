"""Dispatch with a backlog of 1,000,000 pending tasks is as fast as with 1,000; Redis stays short.

    uv run python -m benchmarks.backlog [--pending 1000,1000000] [--seconds 10] [--places 100000,8]
        [--times 3]

One beat with default settings. The consumer takes all deliveries that wait, ends their tasks, and
adds as many new ones, so that the backlog keeps its size. `--places` are the parallel runs of the
source. Commands are timed with the ready-queue full, before the consumer starts.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import cast

import redis
from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.scheduler.delivery import task_id_of
from benchmarks.report import Figure, report, say
from benchmarks.rows import add_flow, add_tasks, analyze
from benchmarks.spending import Spending
from benchmarks.stack import Stack, wait_until
from benchmarks.start import AUTOMAGIK, span_of
from benchmarks.throughput import Throughput

FLOW = "benchmark"
COMMANDS = ("queues list", "status", "tasks list")
_QUEUE = "automagik"
_AT_ONCE = 500
_PAUSE_SECONDS = 0.005
_SETTLE_SECONDS = 2

# A delivery may be here before the beat that sent it has committed: then its row is waited for.
_CLAIM = text("""
UPDATE tasks SET state = 'running', attempt = 1, started_at = now(),
    lease_expires_at = now() + interval '1 minute'
WHERE id = ANY(:ids) AND state IN ('pending', 'queued')
""")
_END = text("""
UPDATE tasks SET state = 'completed', finished_at = now(), lease_expires_at = NULL
WHERE id = ANY(:ids) AND state = 'running'
""")
# Beats are not told, as nobody tells them of a backlog.
_REPLACE = text("""
INSERT INTO tasks (id, flow_id, flow_version_id, source_id, max_retries, max_attempts,
    timeout_seconds)
SELECT uuidv7(), f.id, f.version_id, f.source_id, 3, 4, 600
FROM flows f, generate_series(1, :count) WHERE f.name = :flow
""")


@dataclass(kw_only=True, slots=True)
class Seen:
    """With one size of the backlog, and so many places."""

    throughput: Throughput = field(init=False)
    longest: int = 0
    commands: dict[str, float] = field(default_factory=dict)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pending", default="1000,1000000", help="tasks, the smallest first")
    parser.add_argument("--places", default="100000,8", help="of the source")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--times", type=int, default=3, help="that each command is timed")
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.pending.split(",")]
    choices = [int(places) for places in arguments.places.split(",")]
    seen = {size: watch_each(size, choices, arguments) for size in sizes}
    found = [
        figure
        for places in choices
        for size in sizes
        for figure in figures(
            places, size, seen[size][places], small=seen[sizes[0]][places], smallest=sizes[0]
        )
    ]
    report("backlog", found, setting=vars(arguments))


def watch_each(size: int, choices: list[int], arguments: argparse.Namespace) -> dict[int, Seen]:
    """The same backlog with each choice of places."""
    seen = {}
    with Stack() as stack:
        add_flow(stack.database, FLOW)
        add_tasks(stack.database, FLOW, size)
        analyze(stack.database)
        for places in choices:
            seen[places] = watch(stack, places, arguments)
            rate = seen[places].throughput.per_second
            say(f"{size:,} pending, {places:,} places: {rate:.0f}/s")
    return seen


def watch(stack: Stack, places: int, arguments: argparse.Namespace) -> Seen:
    with stack.database.transaction() as connection:
        connection.execute(text("UPDATE sources SET max_parallel_runs = :n"), {"n": places})
    seen = Seen()
    target = min(Settings().ready_queue_target, places)
    with stack.redis_client() as client, stack.beat() as beat:
        wait_until(lambda: _length(client) >= target, what="a full queue")
        settled = time.monotonic() + _SETTLE_SECONDS
        while time.monotonic() < settled:
            seen.longest = max(seen.longest, _length(client))
            time.sleep(_PAUSE_SECONDS)
        seen.commands = {name: seconds_of(stack, name, arguments.times) for name in COMMANDS}
        consume(stack, client, beat, seen, seconds=arguments.seconds)
    # What the beat has sent at last.
    with stack.redis_client() as client:
        take(stack, client)
    return seen


def seconds_of(stack: Stack, command: str, times: int) -> float:
    """The median of so many times. Without a worker the status is 1."""
    argv = (*AUTOMAGIK, *command.split())
    return median(span_of(stack, *argv, codes=(0, 1)).seconds for _ in range(times))


def consume(stack: Stack, client: "redis.Redis", beat: int, seen: Seen, *, seconds: float) -> None:
    # What waits already was dispatched before.
    take(stack, client)
    spending, begun, taken = Spending(stack, beat=[beat]), time.monotonic(), 0
    while (span := time.monotonic() - begun) < seconds:
        seen.longest = max(seen.longest, _length(client))
        taken += take(stack, client)
        time.sleep(_PAUSE_SECONDS)
    seen.throughput = Throughput.of(taken, span, spending.seconds())


def take(stack: Stack, client: "redis.Redis") -> int:
    """All that waits, a batch at most; its tasks end, and as many new ones are there."""
    messages = cast("list[bytes]", client.rpop(_QUEUE, _AT_ONCE) or [])
    ids = [task_id_of(message) for message in messages]
    if ids:
        with stack.database.transaction() as connection:
            connection.execute(_CLAIM, {"ids": ids})
            connection.execute(_END, {"ids": ids})
            connection.execute(_REPLACE, {"count": len(ids), "flow": FLOW})
    return len(ids)


def figures(places: int, size: int, seen: Seen, *, small: Seen, smallest: int) -> Iterator[Figure]:
    what = f"{size:,} pending, {places:,} places"
    beside = f"{smallest:,} pending"
    is_same = size == smallest
    yield Figure(
        what=f"dispatched, {what}",
        unit="1/s",
        ours=seen.throughput.per_second,
        peers={} if is_same else {beside: small.throughput.per_second},
        least_ratio={} if is_same else {beside: 0.9},
    )
    yield Figure(
        what=f"ready-queue at most, {what}",
        unit="deliveries",
        ours=seen.longest,
        most=Settings().ready_queue_target,
    )
    for name, spent in seen.throughput.cpu_ms.items():
        peers = {} if is_same else {beside: small.throughput.cpu_ms[name]}
        yield Figure(what=f"{name} per delivery, {what}", unit="ms CPU", ours=spent, peers=peers)
    for command, seconds in seen.commands.items():
        peers = {} if is_same else {beside: small.commands[command]}
        yield Figure(what=f"automagik {command}, {what}", unit="s", ours=seconds, peers=peers)


def _length(client: "redis.Redis") -> int:
    return client.llen(_QUEUE)


if __name__ == "__main__":
    main()
