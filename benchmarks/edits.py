"""How soon a new or edited schedule counts, among a million, and whether others wait for it.

    uv run python -m benchmarks.edits [--schedules 1000000] [--edits 200] [--due-per-second 10]

The schedules are intervals hours away, but for ten that come due each second. Ten times a second
one is created or edited, in turns, by the manager that the command line uses, so that it is due at
once. Its time counts from the call until the message lies in Redis. The lag of the others is taken
for as long before the first edit as during the edits.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.manager import FlowManager
from automagik.core.flows.values import Flow
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.values import CadenceText, ScheduleChange
from benchmarks.arrivals import Arrivals
from benchmarks.beat_systems import FLOW, OurBeats
from benchmarks.groups import from_now_on, hours_away
from benchmarks.report import Figure, percentile, report
from benchmarks.stack import Stack, wait_until

CREATED, EDITED = "created", "edited"
_NOW = CadenceText(type="oneshot", expr="now")
_EVERY_SECONDS = 0.1
_SETTLE_SECONDS = 3.0
_STALL_MS = 100
_TARGETS = text("SELECT id FROM schedules WHERE name LIKE 'far-%' LIMIT :count")
_TASKS = text("SELECT id, schedule_id, scheduled_for FROM tasks WHERE id = ANY(:ids)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    what: str
    schedule_id: UUID
    began: float
    """In seconds since the epoch; so the other."""
    committed: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    at: float
    """When the message came."""
    schedule_id: UUID
    scheduled_for: datetime

    @property
    def lag_ms(self) -> float:
        return 1000 * (self.at - self.scheduled_for.timestamp())


def main() -> None:
    arguments = _arguments()
    with Stack() as stack:
        found = list(measure(stack, arguments))
    report("edits", found, setting=vars(arguments))


def measure(stack: Stack, arguments: argparse.Namespace) -> Iterator[Figure]:
    system = OurBeats(stack)
    seconds = arguments.edits * _EVERY_SECONDS
    due = round((60 + 2 * seconds) * arguments.due_per_second)
    system.fill(hours_away(arguments.schedules - due))
    system.settle()
    system.fill(from_now_on(due, per_second=arguments.due_per_second))
    flow = FlowManager(stack.database, Settings()).get(FLOW)
    with Arrivals(system) as arrivals, system.running():
        wait_until(lambda: bool(arrivals.all), what="the first message")
        arrivals.attend(_SETTLE_SECONDS)
        quiet_since = time.time()
        arrivals.attend(seconds)
        edits = list(edit(stack, arrivals, flow, count=arguments.edits))
        until = time.time()
        arrivals.attend(_SETTLE_SECONDS)
    sent = sent_by(stack, system, arrivals)
    yield from effects(edits, sent)
    edited = {edit.schedule_id for edit in edits}
    others = [each for each in sent if each.schedule_id not in edited]
    yield from stalls(others, quiet_since=quiet_since, since=edits[0].began, until=until)


def edit(stack: Stack, arrivals: Arrivals, flow: Flow, *, count: int) -> Iterator[Edit]:
    """Creates one and edits one, again and again, each so that it is due at once."""
    schedules = SchedulerManager(stack.database, Settings())
    with stack.database.transaction() as connection:
        targets = list(connection.scalars(_TARGETS, {"count": count}))
    for number, target in enumerate(targets):
        began, is_new = time.time(), number % 2 == 0
        if is_new:
            changed = schedules.create(flow, _NOW, run_input=FlowInput(), name=f"new-{number}")
        else:
            changed = schedules.update(target, ScheduleChange(cadence=_NOW))
        committed = time.time()
        yield Edit(
            what=CREATED if is_new else EDITED,
            schedule_id=changed.id,
            began=began,
            committed=committed,
        )
        arrivals.attend(began + _EVERY_SECONDS - time.time())


def sent_by(stack: Stack, system: OurBeats, arrivals: Arrivals) -> Sequence[Sent]:
    ids = system.task_ids([arrival.message for arrival in arrivals.all])
    with stack.database.transaction() as connection:
        rows = {row.id: row for row in connection.execute(_TASKS, {"ids": ids})}
    return [
        Sent(
            at=arrival.at,
            schedule_id=rows[task_id].schedule_id,
            scheduled_for=rows[task_id].scheduled_for,
        )
        for task_id, arrival in zip(ids, arrivals.all, strict=True)
    ]


def effects(edits: Sequence[Edit], sent: Sequence[Sent]) -> Iterator[Figure]:
    sent_at = {each.schedule_id: each.at for each in sent}
    for what in (CREATED, EDITED):
        mine = [edit for edit in edits if edit.what == what]
        effective = [1000 * (sent_at[edit.schedule_id] - edit.began) for edit in mine]
        committed = [1000 * (edit.committed - edit.began) for edit in mine]
        for share, most in ((50, None), (99, 100)):
            yield Figure(
                what=f"{what} until published, p{share}",
                unit="ms",
                ours=percentile(effective, share),
                peers={"until committed": percentile(committed, share)},
                most=most,
            )


def stalls(
    others: Sequence[Sent], *, quiet_since: float, since: float, until: float
) -> Iterator[Figure]:
    def lags(begin: float, end: float) -> Sequence[float]:
        """Of what came due in that time."""
        return [each.lag_ms for each in others if begin <= each.scheduled_for.timestamp() < end]

    for share, most in ((50, None), (99, _STALL_MS)):
        yield Figure(
            what=f"lag of others meanwhile, p{share}",
            unit="ms",
            ours=percentile(lags(since, until), share),
            peers={"before": percentile(lags(quiet_since, since), share)},
            most=most,
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=1_000_000)
    parser.add_argument("--edits", type=int, default=200)
    parser.add_argument("--due-per-second", type=float, default=10.0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
