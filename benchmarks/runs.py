"""Durable runs from end to end: dispatch, claim, attempt, log, result, finish; runs/s and costs.

    uv run python -m benchmarks.runs [--runs 5000] [--pool threads] [--concurrency 100]
        [--http] [--peers raw-threads,raw-prefork,db-prefork,db-threads|none]

One worker process. The flow ends at once; with --http it is asked for over HTTP, and a server
answers at once. First all deliveries wait in Redis when the worker starts, which is how the peers
are measured, too; then the tasks wait in PostgreSQL and a beat dispatches them meanwhile. Rates and
processor times are taken from a tenth to nine tenths of the runs. The more runs a worker has at a
time, the more of them are written by one commit; beyond a hundred that gains little.

Peers are named KIND-POOL: `raw` is Celery without results, `db` keeps them in the same PostgreSQL,
acknowledges late and tracks the start. Threads are as many as ours, processes 2, greenlets 100.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

from sqlalchemy import text

from benchmarks.celery_peers import drain_each, peer_names
from benchmarks.report import Figure, report, say
from benchmarks.rows import add_echo_flow, add_tasks, analyze
from benchmarks.stack import Stack, wait_until
from benchmarks.stub import Stub, running_stub
from benchmarks.throughput import Throughput, middle

FLOW, INPUT = "benchmark", "hello"
DRAIN, DISPATCH = "all deliveries waiting", "dispatch under way"
_QUEUE, _NOWHERE = "automagik", "http://127.0.0.1:9"
_FINISHED = text("SELECT count(*) FROM tasks WHERE finished_at IS NOT NULL")
_INCOMPLETE = text("SELECT count(*) FROM tasks WHERE state <> 'completed'")
_LINES = text("SELECT count(*) FROM task_logs")
_PEERS = {
    False: "raw-threads,raw-prefork,db-prefork,db-threads",
    True: "raw-threads,raw-prefork",
}
_END_SECONDS = 600


def main() -> None:
    arguments = _arguments()
    with Stack() as stack, ExitStack() as rest:
        stub = rest.enter_context(running_stub(stack)) if arguments.http else None
        add_echo_flow(stack.database, FLOW, url=stub.url if stub else _NOWHERE)
        ours = measure(stack, stub, arguments)
        lines = stack.scalar(_LINES) / (2 * arguments.runs)
        peers = drain_each(
            peer_names(arguments.peers),
            stack,
            *([f"{stub.url}/api/v1/run/echo"] if stub else []),
            task="ask" if stub else "noop",
            count=arguments.peer_runs,
            concurrency=arguments.concurrency,
        )
    report(
        "runs over HTTP" if arguments.http else "runs",
        list(figures(ours, peers, arguments)),
        setting=vars(arguments) | {"lines_per_run": round(lines, 2)},
    )


def measure(
    stack: Stack, stub: Stub | None, arguments: argparse.Namespace
) -> dict[str, Throughput]:
    """By the same worker: with all deliveries waiting, and with dispatch under way."""
    runs = arguments.runs
    _fill_queue(stack, runs)
    app = "automagik" if arguments.http else "benchmarks.noop_app"
    with stack.worker(app=app, pool=arguments.pool, concurrency=arguments.concurrency) as worker:
        processes = {"worker": [worker]} | ({"stub": [stub.pid]} if stub else {})
        drained = timed(stack, runs, processes, before=0)
        say(f"{DRAIN}: {drained.per_second:.0f} runs/s")
        with stack.beat() as beat:
            add_tasks(stack.database, FLOW, runs, input_value=INPUT)
            dispatched = timed(stack, runs, processes | {"beat": [beat]}, before=runs)
            say(f"{DISPATCH}: {dispatched.per_second:.0f} runs/s")
    if incomplete := stack.scalar(_INCOMPLETE):
        raise RuntimeError(f"{incomplete} runs did not complete")
    return {DRAIN: drained, DISPATCH: dispatched}


def timed(
    stack: Stack, runs: int, processes: Mapping[str, Sequence[int]], *, before: int
) -> Throughput:
    """Returns when all of them have ended."""

    def done() -> int:
        return stack.scalar(_FINISHED) - before

    found = middle(stack, runs, processes, done=done)
    wait_until(lambda: done() >= runs, what="the last runs", seconds=_END_SECONDS)
    return found


def figures(
    ours: Mapping[str, Throughput], peers: Mapping[str, Throughput], arguments: argparse.Namespace
) -> Iterator[Figure]:
    rates = {name: found.per_second for name, found in peers.items()}
    least = {name: 2.0 for name in peers if name.startswith("db-")}
    least[f"raw-{arguments.pool}"] = 0.7
    for how, found in ours.items():
        yield Figure(
            what=f"runs, {how}",
            unit="1/s",
            ours=found.per_second,
            peers=rates,
            least=None if arguments.http else 1000,
            least_ratio=least,
        )
    for how, found in ours.items():
        beside = peers if how == DRAIN else {}
        for who, spent in found.cpu_ms.items():
            theirs = {name: p.cpu_ms[who] for name, p in beside.items() if who in p.cpu_ms}
            yield Figure(what=f"{who} per run, {how}", unit="ms CPU", ours=spent, peers=theirs)
        yield Figure(
            what=f"worker + postgresql per run, {how}",
            unit="ms CPU",
            ours=_durable_ms(found),
            peers={name: _durable_ms(peer) for name, peer in beside.items()},
            most=None if arguments.http else 1.5,
        )


def _durable_ms(found: Throughput) -> float:
    return found.cpu_ms["worker"] + found.cpu_ms["postgresql"]


def _fill_queue(stack: Stack, runs: int) -> None:
    """With a beat that has room for all of them."""
    target = {"AUTOMAGIK_READY_QUEUE_TARGET": str(runs)}
    with stack.beat("filler", env=target), stack.redis_client() as client:
        add_tasks(stack.database, FLOW, runs, input_value=INPUT)
        wait_until(lambda: client.llen(_QUEUE) == runs, what="dispatch", seconds=_END_SECONDS)
    analyze(stack.database)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--pool", default="threads", choices=("threads", "prefork"))
    parser.add_argument("--concurrency", type=int, default=100)
    parser.add_argument("--http", action="store_true", help="ask a server that answers at once")
    parser.add_argument("--peers", help="such as raw-threads,db-gevent, or none")
    parser.add_argument("--peer-runs", type=int, default=5000)
    arguments = parser.parse_args()
    arguments.peers = arguments.peers or _PEERS[arguments.http]
    return arguments


if __name__ == "__main__":
    main()
