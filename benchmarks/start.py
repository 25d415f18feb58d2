"""How long commands take from the shell, warm: `--help`, lists and the status of a local stack.

    uv run python -m benchmarks.start [--times 10] [--tasks 100]

Each command runs in a process of its own against servers on the same machine. What Python itself
takes to start is measured beside, in turn with them. Medians; on a busy machine the processor time
says more.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median

from benchmarks.report import Figure, report
from benchmarks.rows import add_flow, add_schedules, add_tasks
from benchmarks.stack import Stack

FLOW = "benchmark"
AUTOMAGIK = (sys.executable, "-m", "automagik")
COMMANDS = {
    "--help": 0.25,
    "tasks list": 0.5,
    "schedules list": 0.5,
    "status": 0.5,
}
"""With the seconds that each may take."""
_WARM_UP = 2
_SCHEDULES = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    seconds: float
    cpu_seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--tasks", type=int, default=100)
    arguments = parser.parse_args()
    with Stack() as stack:
        add_flow(stack.database, FLOW)
        add_tasks(stack.database, FLOW, arguments.tasks)
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        add_schedules(
            stack.database,
            FLOW,
            _SCHEDULES,
            prefix="daily-",
            type="interval",
            expr="1d",
            first_at=tomorrow,
        )
        with stack.beat(), stack.worker(app="benchmarks.noop_app"):
            spans = measure(stack, arguments.times)
    report("start", list(figures(spans)), setting=vars(arguments))


def figures(spans: dict[str, list[Span]]) -> Iterator[Figure]:
    bare = spans["python"]
    for command, most in COMMANDS.items():
        yield Figure(
            what=f"automagik {command}",
            unit="s",
            ours=median(span.seconds for span in spans[command]),
            peers={"python -c pass": median(span.seconds for span in bare)},
            most=most,
        )
        yield Figure(
            what=f"automagik {command}, processor",
            unit="s CPU",
            ours=median(span.cpu_seconds for span in spans[command]),
            peers={"python -c pass": median(span.cpu_seconds for span in bare)},
        )


def measure(stack: Stack, times: int) -> dict[str, list[Span]]:
    """One after the other in each round, so that all see the same machine."""
    commands = {name: (*AUTOMAGIK, *name.split()) for name in COMMANDS}
    commands["python"] = (sys.executable, "-c", "pass")
    rounds = [
        {name: span_of(stack, *argv) for name, argv in commands.items()}
        for _ in range(_WARM_UP + times)
    ]
    return {name: [each[name] for each in rounds[_WARM_UP:]] for name in commands}


def span_of(stack: Stack, *argv: str, codes: Container[int] = (0,)) -> Span:
    """Raises RuntimeError when it ends with another code."""
    begun, spent = time.perf_counter(), _cpu_seconds_of_children()
    ended = subprocess.run(
        argv, env=os.environ | stack.environment, capture_output=True, check=False
    )
    if ended.returncode not in codes:
        raise RuntimeError(f"{argv} ended with {ended.returncode}: {ended.stderr.decode()}")
    return Span(seconds=time.perf_counter() - begun, cpu_seconds=_cpu_seconds_of_children() - spent)


def _cpu_seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
