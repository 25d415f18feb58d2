"""A thousand runs in flight on one worker process: what it holds, and what it costs.

    uv run python -m benchmarks.in_flight [--flying 1000] [--delay 10] [--waves 6] [--peers none]

The source ends each run after `--delay` seconds, so runs come and go in waves of `--flying`. The
rate is that of whole waves, from the end of one to the end of the last: between two other instants
it would depend on where they lie. Meanwhile: memory of the worker, connections to PostgreSQL of
everything together, leases lost and attempts beyond the first. The peer raw-threads is Celery with
requests and as many threads.
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import text

from benchmarks.celery_peers import drain_each, peer_names
from benchmarks.report import Figure, report, say
from benchmarks.rows import add_echo_flow, add_tasks
from benchmarks.spending import Spending
from benchmarks.stack import Stack, rss_mb, wait_until
from benchmarks.stub import Stub, running_stub

FLOW = "benchmark"
_POLL_SECONDS = 0.25
_RUNNING = text("SELECT count(*) FROM tasks WHERE state = 'running'")
_COMPLETED = text("SELECT count(*) FROM tasks WHERE state = 'completed'")
# From the end of the first wave.
_RATE = text("""
SELECT :count / extract(epoch FROM max(finished_at) - min(finished_at)) FROM (
    SELECT finished_at FROM tasks WHERE state = 'completed'
    ORDER BY finished_at OFFSET :flying - 1 LIMIT :count + 1
) ended
""")
_REPEATED = text("SELECT count(*) FROM task_attempts WHERE attempt > 1")
_LOST = text("SELECT count(*) FROM task_attempts WHERE outcome = 'worker_lost'")
# But that of who asks.
_CONNECTIONS = text("""
SELECT count(*) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
""")


@dataclass(kw_only=True, slots=True)
class Flight:
    """What was seen while all slots were taken."""

    per_second: float = 0
    cores: Mapping[str, float] = field(default_factory=dict)
    rss: list[float] = field(default_factory=list)
    connections: list[int] = field(default_factory=list)
    running: list[int] = field(default_factory=list)


def main() -> None:
    arguments = _arguments()
    with Stack() as stack, running_stub(stack, delay=arguments.delay) as stub:
        add_echo_flow(stack.database, FLOW, url=stub.url)
        # All slots are still taken when the last wave ends.
        count = arguments.flying * (arguments.waves + 3)
        with stack.beat(), stack.worker(concurrency=arguments.flying) as worker:
            add_tasks(stack.database, FLOW, count, input_value="hello")
            seen = watch(stack, worker, arguments)
            lost, repeated = stack.scalar(_LOST), stack.scalar(_REPEATED)
        rates = peers(stack, stub, arguments)
    report("in flight", figures(seen, lost, repeated, rates), setting=vars(arguments))


def watch(stack: Stack, worker: int, arguments: argparse.Namespace) -> Flight:
    wait_until(
        lambda: stack.scalar(_RUNNING) >= 0.95 * arguments.flying, what="flight", seconds=120
    )
    say("all slots are taken")
    seen = Flight()
    spending = Spending(stack, worker=[worker])
    count = arguments.flying * arguments.waves
    while stack.scalar(_COMPLETED) < arguments.flying + count:
        seen.rss.append(rss_mb(worker))
        seen.connections.append(stack.scalar(_CONNECTIONS))
        seen.running.append(stack.scalar(_RUNNING))
        time.sleep(_POLL_SECONDS)
    with stack.database.transaction() as connection:
        found = {"count": count, "flying": arguments.flying}
        seen.per_second = float(connection.scalar(_RATE, found))
    seen.cores = spending.cores()
    return seen


def peers(stack: Stack, stub: Stub, arguments: argparse.Namespace) -> dict[str, float]:
    ended = stub.ended()
    found = drain_each(
        peer_names(arguments.peers),
        stack,
        f"{stub.url}/api/v1/run/echo",
        task="ask",
        count=arguments.flying * (arguments.waves + 2),
        concurrency=arguments.flying,
        # Celery has taken messages long before it begins with them.
        done=lambda: stub.ended() - ended,
        longest=arguments.waves * arguments.delay,
    )
    return {name: each.per_second for name, each in found.items()}


def figures(seen: Flight, lost: int, repeated: int, rates: dict[str, float]) -> list[Figure]:
    return [
        Figure(what="completed", unit="1/s", ours=seen.per_second, peers=rates, least=95),
        Figure(what="memory of the worker", unit="MB", ours=max(seen.rss), most=300),
        Figure(what="connections to PostgreSQL", unit="", ours=max(seen.connections), most=20),
        Figure(what="leases lost", unit="", ours=lost, most=0),
        Figure(what="attempts beyond the first", unit="", ours=repeated, most=0),
        Figure(what="runs in flight, least", unit="", ours=min(seen.running)),
        *(Figure(what=name, unit="cores", ours=busy) for name, busy in seen.cores.items()),
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flying", type=int, default=1000)
    parser.add_argument("--delay", type=float, default=10)
    parser.add_argument("--waves", type=int, default=6)
    parser.add_argument("--peers", default="none")
    return parser.parse_args()


if __name__ == "__main__":
    main()
