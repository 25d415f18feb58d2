"""What users do meanwhile: schedules of all types, and runs by hand at a steady rate."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from random import Random
from threading import Event, Thread
from uuid import UUID

from automagik.core.exceptions import Conflict, Unreachable
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.manager import FlowManager
from automagik.core.flows.values import Flow
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.values import CadenceText
from automagik.core.tasks.manager import TaskManager
from tests.system.chaos.stage import Stage

SCHEDULES = (
    ("Echo", "interval", "1s"),
    ("Echo", "interval", "1s"),
    ("Slow", "interval", "2s"),
    ("Flaky", "interval", "3s"),
    ("Echo", "interval", "5s"),
    ("Echo", "cron", "*/2 * * * * *"),
    ("Slow", "cron", "1/3 * * * * *"),
    ("Failing", "cron", "*/10 * * * * *"),
)
FLOWS = ("Echo", "Echo", "Slow", "Slow", "Flaky")
ONE_SHOT_EACH = 5
"""After so many runs by hand."""
SOON = timedelta(seconds=7)


def schedule_all(stage: Stage) -> None:
    for number, (flow, type_, expr) in enumerate(SCHEDULES):
        _schedule(stage, f"schedule-{number}", flow=flow, type_=type_, expr=expr)


def run_by_hand(
    stage: Stage,
    flow: str,
    *,
    seconds: float = 0,
    queue: str | None = None,
    max_retries: int = 3,
    key: str | None = None,
) -> UUID:
    """Raises DatabaseUnreachable."""
    tweaks: Mapping[str, Mapping[str, object]] = (
        {"SleepComponent-slow": {"seconds": seconds}} if flow == "Slow" else {}
    )
    task = TaskManager(stage.fleet.database, stage.settings).create(
        _flow(stage, flow),
        FlowInput(input_value="by hand", tweaks=tweaks),
        actor="chaos",
        queue=queue,
        max_retries=max_retries,
        idempotency_key=key,
    )
    return task.id


class Load:
    """Runs by hand, and every now and then a one-shot, until it is stopped.

    Who gets no answer asks again with the same key, like a program that must not run twice.
    """

    def __init__(self, stage: Stage, *, seed: int, rate: float) -> None:
        self.accepted: list[UUID] = []
        self.refused = 0
        """How often PostgreSQL was away."""
        self._stage = stage
        self._random = Random(f"load {seed}")
        self._every = 1 / rate
        self._stopping = Event()
        self._thread = Thread(target=self._loop, name="load")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _loop(self) -> None:
        for number in count(1):
            flow, seconds = self._random.choice(FLOWS), self._random.uniform(0.1, 6)
            if number % ONE_SHOT_EACH == 0:
                self._insist(partial(self._once, number, flow))
            self._insist(partial(self._run, number, flow, seconds))
            if self._stopping.wait(self._every):
                return

    def _insist(self, ask: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            try:
                ask()
            except Unreachable:
                self.refused += 1
                self._stopping.wait(self._every)
            else:
                return

    def _once(self, number: int, flow: str) -> None:
        at = datetime.now(UTC) + SOON
        with suppress(Conflict):  # The answer to the first try was lost.
            expr = at.isoformat()
            _schedule(self._stage, f"once-{number}", flow=flow, type_="oneshot", expr=expr)

    def _run(self, number: int, flow: str, seconds: float) -> None:
        run = run_by_hand(self._stage, flow, seconds=seconds, key=f"run {number}")
        self.accepted.append(run)


def _schedule(stage: Stage, name: str, *, flow: str, type_: str, expr: str) -> None:
    SchedulerManager(stage.fleet.database, stage.settings).create(
        _flow(stage, flow),
        CadenceText(type=type_, expr=expr),
        run_input=FlowInput(input_value="on time"),
        name=name,
    )


def _flow(stage: Stage, name: str) -> Flow:
    return FlowManager(stage.fleet.database, stage.settings).get(name)
