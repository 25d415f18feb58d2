"""How late a beat is and what it costs, by the number of its schedules; ten come due each second.

    uv run python -m benchmarks.beats [--schedules 10000,100000,1000000] [--seconds 30]
        [--due-per-second 10] [--together 1] [--peers redbeat,apscheduler|none]

All schedules are intervals of two days. From the start of a beat on one comes due each 100 ms, each
of them once, so that its instant is known in advance; the others follow in an hour, spread over a
day. Whatever comes into the queue is taken out at once, and what has passed then since the instant
is the lag: of ours the occurrence is committed in PostgreSQL by that time. What is overdue when the
process starts tells by its message how long that took.

RedBeat orders by whole seconds and reads all of the same second again for each of them. Ten on each
full second, which is `--together 10`, cost it a third and come later.

Peers run one after the other on the same servers: redbeat, apscheduler (with its jobs in
PostgreSQL) and, for as many schedules as they can carry, celery (its file), django-celery-beat and
sqlalchemy-celery-beat.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.arrivals import Arrivals
from benchmarks.beat_systems import OURS, BeatSystem, beat_system
from benchmarks.celery_peers import peer_names
from benchmarks.groups import Group, from_now_on, hours_away
from benchmarks.report import Figure, percentile, report, say
from benchmarks.spending import Spending
from benchmarks.stack import Stack, rss_mb, wait_until

_SETTLE_SECONDS = 3.0
_LATEST_SECONDS = 3.0
"""So long what came due last is waited for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    start_seconds: float
    lags_ms: Sequence[float]
    """What never came is as late as it was in the end."""
    delivered_percent: float
    cores: Mapping[str, float]
    """How much of one is busy, by whom."""
    rss_mb: float
    rss_growth_mb: float


def main() -> None:
    arguments = _arguments()
    found: list[Figure] = []
    for schedules in arguments.schedules:
        found += figures(f"{schedules:,} schedules", measure_all(schedules, arguments))
    report("beats", found, setting=vars(arguments))


def measure_all(schedules: int, arguments: argparse.Namespace) -> dict[str, Measured]:
    """By name."""
    found = {}
    with Stack() as stack:
        for name in (OURS, *arguments.peers):
            system = beat_system(stack, name)
            found[name] = measure(stack, system, schedules, arguments)
            system.clear()
            p50, p99 = (_lag(share)(found[name]) for share in (50, 99))
            say(f"{name}, {schedules:,} schedules: lag {p50:.1f} / {p99:.1f} ms")
    return found


def measure(
    stack: Stack, system: BeatSystem, schedules: int, arguments: argparse.Namespace
) -> Measured:
    longest_start = 20 + schedules / 2_000
    seconds = longest_start + _SETTLE_SECONDS + arguments.seconds
    due = min(schedules, round(seconds * arguments.due_per_second))
    system.fill(hours_away(schedules - due))
    system.settle()
    near = from_now_on(due, per_second=arguments.due_per_second, together=arguments.together)
    system.fill(near)
    with Arrivals(system) as arrivals:
        began = time.time()
        with system.running() as [beat]:
            wait_until(lambda: bool(arrivals.all), what=system.name, seconds=longest_start)
            arrivals.attend(_SETTLE_SECONDS)
            since, rss, spending = time.time(), rss_mb(beat), Spending(stack, beat=[beat])
            arrivals.attend(arguments.seconds)
            until, rss_end, cores = time.time(), rss_mb(beat), spending.cores()
            arrivals.attend(_LATEST_SECONDS)
            end = time.time()
    lags, missing = lags_ms(arrivals, near, since=since, until=until, end=end)
    return Measured(
        start_seconds=arrivals.all[0].at - began,
        lags_ms=lags,
        delivered_percent=100 * (1 - missing / len(lags)),
        cores=cores,
        rss_mb=rss_end,
        rss_growth_mb=rss_end - rss,
    )


def lags_ms(
    arrivals: Arrivals, near: Group, *, since: float, until: float, end: float
) -> tuple[Sequence[float], int]:
    """Of what came due from `since` to `until`, and how much of it was missing in the end."""
    instants = (instant.timestamp() for instant in near.instants())
    expected = Counter(instant for instant in instants if since <= instant < until)
    came = [(instant, at) for instant, at in arrivals.by_instant() if instant in expected]
    missing = expected - Counter(instant for instant, _ in came)
    late = [*came, *((instant, end) for instant in missing.elements())]
    return [1000 * (at - instant) for instant, at in late], missing.total()


def figures(of: str, found: Mapping[str, Measured]) -> Iterator[Figure]:
    def figure(what: str, unit: str, value: Callable[[Measured], float], **targets: Any) -> Figure:
        values = {name: value(measured) for name, measured in found.items()}
        return Figure(
            what=f"{what}, {of}", unit=unit, ours=values.pop(OURS), peers=values, **targets
        )

    for share in (50, 99):
        yield figure(f"lag p{share}", "ms", _lag(share), most_ratio={"redbeat": 1.0})
    yield figure("delivered", "%", lambda each: each.delivered_percent, least=100)
    yield figure("processor time of beat", "s/min", _minute("beat"), most_ratio={"redbeat": 1.5})
    for server in ("postgresql", "redis"):
        yield figure(f"processor time of {server}", "s/min", _minute(server))
    yield figure("memory", "MB", lambda each: each.rss_mb, most=90)
    yield figure("growth of memory", "MB", lambda each: each.rss_growth_mb, most=2)
    yield figure("start to first message", "s", lambda each: each.start_seconds, most=1)


def _lag(share: int) -> Callable[[Measured], float]:
    return lambda measured: percentile(measured.lags_ms, share)


def _minute(who: str) -> Callable[[Measured], float]:
    return lambda measured: 60 * measured.cores[who]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=_numbers, default="10000,100000,1000000")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--due-per-second", type=float, default=10.0)
    parser.add_argument("--together", type=int, default=1, help="due at the same instant")
    parser.add_argument("--peers", type=peer_names, default="redbeat,apscheduler")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    main()
