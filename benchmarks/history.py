"""What a long history costs: 10 million tasks of 60 days, each with attempt, events and log lines.

    uv run python -m benchmarks.history [--tasks 10000000] [--few 10000] [--lines 5] [--looks 200]
        [--rounds 20] [--backlog 100000] [--home DIR]

Pages of lists with random filters, single tasks, figures and failures are read; tasks are sent,
claimed and ended, and again in a backlog that has just come; what is old is deleted while others
read. All of it is measured beside few tasks, too. The database is filled first, unless `--home` has
kept one.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.scheduler import retention
from automagik.core.tasks.listing import TaskFilter
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.states import TaskState
from benchmarks.hot_path import TASKS, HotPath, Timed, Watched
from benchmarks.long_history import DAYS, SCHEDULES, WORKERS, fill
from benchmarks.plans import Reading
from benchmarks.report import Figure, percentile, report, say
from benchmarks.stack import Stack

MOST_MILLISECONDS = 100
MOST_RATIO = 1.5
MOST_ROWS = 20
"""A step may read so many of tasks and their history for each task."""
WATCHED = 2 * TASKS["dispatch"]
"""Tasks, whose steps are looked into: without a backlog and with one."""
PRUNINGS = 20
_SEVERAL = ("ten pages of a list",)


@dataclass(kw_only=True, slots=True)
class Seen:
    """Beside one history."""

    size_gb: float
    looks: Mapping[str, list[float]]
    """Milliseconds."""
    steps: Mapping[str, list[float]]
    in_backlog: Mapping[str, list[float]]
    readings: Mapping[str, Reading]
    pruned: list[float]
    meanwhile: list[float]
    """Of the newest page of a list while what is old was deleted."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000_000)
    parser.add_argument("--few", type=int, default=10_000, help="tasks to compare with")
    parser.add_argument("--lines", type=int, default=5, help="of log for each task")
    parser.add_argument("--looks", type=int, default=200, help="of each kind")
    parser.add_argument("--rounds", type=int, default=20, help="of a batch that is sent and ends")
    parser.add_argument("--backlog", type=int, default=100_000, help="tasks that come at once")
    parser.add_argument("--home", type=Path, help="where the database is kept for the next time")
    arguments = parser.parse_args()
    few = watch(None, arguments.few, arguments)
    many = watch(arguments.home, arguments.tasks, arguments)
    found = list(figures(many, few, beside=f"{arguments.few:,} tasks"))
    report("history", found, setting=vars(arguments) | {"home": str(arguments.home)})


def watch(home: Path | None, tasks: int, arguments: argparse.Namespace) -> Seen:
    with Stack(home) as stack:
        fill(stack.database, tasks=tasks, lines=arguments.lines)
        say(f"{tasks:,} tasks: reading")
        manager, chance = TaskManager(stack.database, Settings()), random.Random(11)
        looks = {
            name: [timed(ask) for _ in range(arguments.looks)]
            for name, look in LOOKS.items()
            for ask in [look(manager, chance)]
        }
        say(f"{tasks:,} tasks: sending, claiming, ending")
        path, steps, in_backlog, watched = HotPath(stack), Timed(), Timed(), Watched()
        path.go_on(arguments.rounds, steps, watched)
        with path.backlog(arguments.backlog):
            path.go_on(arguments.rounds, in_backlog, watched)
        say(f"{tasks:,} tasks: deleting")
        pruned, meanwhile = prune_beside_reads(stack, manager)
        size = stack.scalar(text("SELECT pg_database_size(current_database())"))
    return Seen(
        size_gb=size / 1e9,
        looks=looks,
        steps=steps.spans,
        in_backlog=in_backlog.spans,
        readings=watched.readings,
        pruned=pruned,
        meanwhile=meanwhile,
    )


def prune_beside_reads(stack: Stack, manager: TaskManager) -> tuple[list[float], list[float]]:
    """The oldest tasks, batch by batch."""
    before = datetime.now(UTC) - DAYS / 2

    def prune() -> None:
        with stack.database.transaction() as connection:
            retention.prune(connection, TaskState.COMPLETED, before=before)

    meanwhile: list[float] = []
    with ThreadPoolExecutor(1) as executor:
        pruning = executor.submit(lambda: [timed(prune) for _ in range(PRUNINGS)])
        while not pruning.done() or not meanwhile:
            meanwhile.append(timed(lambda: manager.list(TaskFilter())))
    return pruning.result(), meanwhile


def figures(many: Seen, few: Seen, *, beside: str) -> Iterator[Figure]:
    yield Figure(what="size", unit="GB", ours=many.size_gb, peers={beside: few.size_gb})
    looks = {name: (spans, few.looks[name]) for name, spans in many.looks.items()}
    looks["prune, a batch"] = many.pruned, few.pruned
    looks["list while pruning"] = many.meanwhile, few.meanwhile
    for name, (spans, others) in looks.items():
        yield Figure(
            what=f"{name}, p95",
            unit="ms",
            ours=percentile(spans, 95),
            peers={beside: percentile(others, 95)},
            most=None if name in _SEVERAL else MOST_MILLISECONDS,
        )
    for step, count in TASKS.items():
        yield Figure(
            what=f"{step} of {count}, p50",
            unit="ms",
            ours=median(many.steps[step]),
            peers={beside: median(few.steps[step])},
            most_ratio={beside: MOST_RATIO},
        )
        yield Figure(
            what=f"{step} of {count} in a new backlog, p50",
            unit="ms",
            ours=median(many.in_backlog[step]),
            peers={"no backlog": median(many.steps[step])},
            most_ratio={"no backlog": MOST_RATIO},
        )
        yield Figure(
            what=f"rows read to {step} a task",
            unit="rows",
            ours=many.readings[step].rows() / WATCHED,
            peers={beside: few.readings[step].rows() / WATCHED},
            most=MOST_ROWS,
        )
    whole = set().union(*(reading.read_as_a_whole() for reading in many.readings.values()))
    say(f"read as a whole: {', '.join(sorted(whole)) or 'no table'}")
    yield Figure(what="tables read as a whole", unit="tables", ours=len(whole), most=0)


def timed(ask: Callable[[], object]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    ask()
    return 1000 * (time.perf_counter() - began)


def page_of(
    tasks: TaskManager, draw: Callable[[], TaskFilter], *, pages: int = 1
) -> Callable[[], object]:
    def ask() -> None:
        wanted, after = draw(), None
        for _ in range(pages):
            after = tasks.list(wanted, after=after).following

    return ask


def moment(chance: random.Random) -> datetime:
    return datetime.now(UTC) - DAYS * chance.random()


def flow(chance: random.Random) -> str:
    return f"flow-{chance.randint(1, 20)}"


def schedule(chance: random.Random) -> str:
    return f"schedule-{chance.randint(1, SCHEDULES)}"


def state(chance: random.Random) -> tuple[TaskState, ...]:
    return tuple(chance.sample(list(TaskState), k=chance.randint(1, 3)))


Look = Callable[[TaskManager, random.Random], Callable[[], object]]
LOOKS: dict[str, Look] = {
    "list": lambda tasks, _: page_of(tasks, TaskFilter),
    "list --flow": lambda tasks, chance: page_of(tasks, lambda: TaskFilter(flow=flow(chance))),
    "list --schedule": lambda tasks, chance: page_of(
        tasks, lambda: TaskFilter(schedule=schedule(chance))
    ),
    "list --state": lambda tasks, chance: page_of(tasks, lambda: TaskFilter(states=state(chance))),
    "list --flow --state": lambda tasks, chance: page_of(
        tasks, lambda: TaskFilter(flow=flow(chance), states=state(chance))
    ),
    "list --schedule --state": lambda tasks, chance: page_of(
        tasks, lambda: TaskFilter(schedule=schedule(chance), states=state(chance))
    ),
    "list --since --until": lambda tasks, chance: page_of(
        tasks, lambda: TaskFilter(until=moment(chance), since=datetime.now(UTC) - DAYS)
    ),
    "list --until --flow --state": lambda tasks, chance: page_of(
        tasks,
        lambda: TaskFilter(until=moment(chance), flow=flow(chance), states=state(chance)),
    ),
    "list --error-code": lambda tasks, chance: page_of(
        tasks, lambda: TaskFilter(error_code=chance.choice(["AM-SRC", "worker_lost", "AM-NONE"]))
    ),
    "list --worker": lambda tasks, chance: page_of(
        tasks, lambda: TaskFilter(worker=f"host-{chance.randint(1, WORKERS)}")
    ),
    "list --worker --state": lambda tasks, chance: page_of(
        tasks,
        lambda: TaskFilter(worker=f"host-{chance.randint(1, WORKERS)}", states=state(chance)),
    ),
    "list --search, one page": lambda tasks, chance: page_of(
        tasks, lambda: TaskFilter(search=f"number {chance.randint(1, 10**7)}")
    ),
    "ten pages of a list": lambda tasks, chance: page_of(
        tasks, lambda: TaskFilter(until=moment(chance)), pages=10
    ),
    "show": lambda tasks, chance: lambda: show(tasks, chance),
    "stats of a day": lambda tasks, _: lambda: tasks.stats(age=timedelta(days=1)),
    "failures of a day": lambda tasks, _: lambda: tasks.failures(age=timedelta(days=1)),
}


def show(tasks: TaskManager, chance: random.Random) -> None:
    [task] = tasks.list(TaskFilter(until=moment(chance)), limit=1).tasks
    tasks.attempts(task.id)
    tasks.events(task.id)
    list(tasks.logs(task.id))


if __name__ == "__main__":
    main()
