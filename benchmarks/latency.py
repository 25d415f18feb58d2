"""From `flows run` to the request at the source, on an idle system: p50 and p99.

    uv run python -m benchmarks.latency [--runs 300] [--gap 0.3]

Tasks are created by TaskManager, as the command line does, at random instants `--gap` seconds apart
on average. The clock starts when their rows are committed, and stops when the server that plays the
source has read the request.
"""

import argparse
import random
import time
from uuid import UUID

from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.manager import FlowManager
from automagik.core.tasks.manager import TaskManager
from benchmarks.report import Figure, percentile, report, say
from benchmarks.rows import add_echo_flow
from benchmarks.stack import Stack, wait_until
from benchmarks.stub import running_stub

FLOW = "benchmark"
_WARM_UP = 10
_COMPLETED = text("SELECT count(*) FROM tasks WHERE state = 'completed'")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--gap", type=float, default=0.3, help="seconds between two, on average")
    arguments = parser.parse_args()
    with Stack() as stack, running_stub(stack) as stub, stack.beat(), stack.worker():
        add_echo_flow(stack.database, FLOW, url=stub.url)
        begun = [run(stack, arguments.gap) for _ in range(_WARM_UP + arguments.runs)]
        wait_until(lambda: stack.scalar(_COMPLETED) == len(begun), what="the last run")
        arrived = {UUID(key[:36]): at for key, at in stub.seen().arrivals.items()}
    say(f"{len(begun)} runs")
    measured = begun[_WARM_UP:]
    spans = {
        "commit to request": [1000 * (arrived[key] - committed) for key, _, committed in measured],
        "command to request": [1000 * (arrived[key] - asked) for key, asked, _ in measured],
    }
    report("latency", figures(spans), setting=vars(arguments))


def run(stack: Stack, gap: float) -> tuple[UUID, float, float]:
    """Its id, when it was asked for and when its row was there."""
    settings = Settings()
    flow = FlowManager(stack.database, settings).get(FLOW)
    tasks = TaskManager(stack.database, settings)
    time.sleep(random.uniform(0, 2 * gap))
    asked = time.monotonic()
    task = tasks.create(flow, FlowInput(input_value="hello"), actor="benchmark")
    return task.id, asked, time.monotonic()


def figures(spans: dict[str, list[float]]) -> list[Figure]:
    targets: dict[str, dict[int, float]] = {"commit to request": {50: 15, 99: 50}}
    return [
        Figure(
            what=f"{what}, p{percent}",
            unit="ms",
            ours=percentile(values, percent),
            most=targets.get(what, {}).get(percent),
        )
        for what, values in spans.items()
        for percent in (50, 99)
    ]


if __name__ == "__main__":
    main()
