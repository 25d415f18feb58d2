"""Large runs beside small ones: results of 1 MB, and runs that say 10,000 lines.

    uv run python -m benchmarks.large [--seconds 30] [--rate 20] [--bytes 1000000] [--lines 10000]
        [--parallel 8]

Small runs come at a steady rate, first alone, then beside large ones that another source always has
as many of as it may have at a time. How long the small ones take from their creation to their end
tells whether they are held up. Each time the worker starts anew, with its default of ten slots.
"""

import argparse
import time
from dataclasses import dataclass

from sqlalchemy import text

from benchmarks.report import Figure, percentile, report, say
from benchmarks.rows import add_echo_flow, add_tasks
from benchmarks.stack import Stack, rss_mb, wait_until
from benchmarks.stub import running_stub

SMALL, LARGE = "small", "large"
_COMPLETED = text("""
SELECT count(*) FROM tasks t JOIN flows f ON f.id = t.flow_id
WHERE f.name = :flow AND t.state = 'completed'
""")
_SPANS = text("""
SELECT 1000 * extract(epoch FROM t.finished_at - t.created_at)::float8
FROM tasks t JOIN flows f ON f.id = t.flow_id WHERE f.name = :flow AND t.state = 'completed'
""")
_WARM_UP = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """What was seen of the small runs, and of those beside them."""

    small_ms: list[float]
    small_per_second: float
    large_per_second: float
    peak_mb: float


def main() -> None:
    arguments = _arguments()
    alone = phase("alone", arguments, result_bytes=0, messages=0)
    beside = {
        "1 MB results": phase("results", arguments, result_bytes=arguments.bytes, messages=2),
        "10,000 lines": phase("lines", arguments, result_bytes=0, messages=arguments.lines),
    }
    found = [figure for what, seen in beside.items() for figure in figures(what, seen, alone)]
    report("large", found, setting=vars(arguments))


def phase(name: str, arguments: argparse.Namespace, *, result_bytes: int, messages: int) -> Phase:
    """With large runs of so many messages; none when there are none."""
    with (
        Stack() as stack,
        running_stub(stack) as small,
        running_stub(stack, "large", result_bytes=result_bytes, messages=max(messages, 2)) as large,
        stack.beat(),
        stack.worker() as worker,
    ):
        add_echo_flow(stack.database, SMALL, url=small.url)
        add_echo_flow(stack.database, LARGE, url=large.url, parallel=arguments.parallel)
        add_tasks(stack.database, SMALL, _WARM_UP, input_value="hello")
        wait_until(lambda: _completed(stack, SMALL) == _WARM_UP, what="the warm-up")
        if messages:
            # More than can end meanwhile.
            add_tasks(stack.database, LARGE, int(200 * arguments.seconds), input_value="hello")
            wait_until(lambda: _completed(stack, LARGE) > 0, what="the first large run")
        seen = feed(stack, worker, arguments)
    say(f"{name}: {seen.large_per_second:.1f} large runs/s")
    return seen


def feed(stack: Stack, worker: int, arguments: argparse.Namespace) -> Phase:
    """Creates small runs at the rate, and looks at the worker meanwhile."""
    peak, begun, small, large = 0.0, time.monotonic(), *_both(stack)
    for number in range(int(arguments.seconds * arguments.rate)):
        time.sleep(max(0, begun + number / arguments.rate - time.monotonic()))
        add_tasks(stack.database, SMALL, 1, input_value="hello")
        peak = max(peak, rss_mb(worker))
    span, (small_now, large_now) = time.monotonic() - begun, _both(stack)
    fed = small + int(arguments.seconds * arguments.rate)
    wait_until(lambda: _completed(stack, SMALL) == fed, what="the small runs")
    with stack.database.transaction() as connection:
        spans = [float(each) for each in connection.scalars(_SPANS, {"flow": SMALL})]
    return Phase(
        small_ms=spans[_WARM_UP:],
        small_per_second=(small_now - small) / span,
        large_per_second=(large_now - large) / span,
        peak_mb=peak,
    )


def _both(stack: Stack) -> tuple[int, int]:
    return _completed(stack, SMALL), _completed(stack, LARGE)


def _completed(stack: Stack, flow: str) -> int:
    return stack.scalar(_COMPLETED.bindparams(flow=flow))


def figures(what: str, seen: Phase, alone: Phase) -> list[Figure]:
    spans = [
        Figure(
            what=f"small runs beside {what}, p{percent}",
            unit="ms",
            ours=percentile(seen.small_ms, percent),
            peers={"alone": percentile(alone.small_ms, percent)},
        )
        for percent in (50, 99)
    ]
    return [
        *spans,
        Figure(
            what=f"small runs beside {what}",
            unit="1/s",
            ours=seen.small_per_second,
            peers={"alone": alone.small_per_second},
            least_ratio={"alone": 0.95},
        ),
        Figure(
            what=f"memory of the worker with {what}",
            unit="MB",
            ours=seen.peak_mb,
            peers={"alone": alone.peak_mb},
            most=300,
        ),
        Figure(what=f"runs with {what}", unit="1/s", ours=seen.large_per_second),
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rate", type=float, default=20, help="of small runs a second")
    parser.add_argument("--bytes", type=int, default=1_000_000, help="of a large result")
    parser.add_argument("--lines", type=int, default=10_000, help="that a run says")
    parser.add_argument("--parallel", type=int, default=8, help="large runs at a time")
    return parser.parse_args()


if __name__ == "__main__":
    main()
