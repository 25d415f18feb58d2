"""What evaluating a cron schedule costs: the next occurrence after an instant, in a zone.

    uv run python -m benchmarks.cadence [--rounds 2000] [--zone Europe/Berlin]
        [--peers croniter,cronsim|none]

Each rule is loaded from its text and asked for its next occurrence after random instants of a year,
as beat does at every fire. Peers do the same in turns.
"""

import argparse
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from statistics import median
from time import perf_counter_ns
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim

from automagik.core.scheduler.cadence import load_cadence
from benchmarks.celery_peers import peer_names
from benchmarks.report import Figure, percentile, report

START = datetime(2026, 1, 1, tzinfo=UTC)
RULES = (
    "* * * * *",
    "*/5 * * * *",
    "0 * * * *",
    "30 2 * * *",
    "0 9 * * 1-5",
    "*/15 9-17 * * MON-FRI",
    "0 0 1 * *",
    "0 0 13 * 5",
    "0 0 L * *",
    "0 12 * * 5#2",
    "0 0 1 1 *",
    "0 0 29 2 *",
)
_OURS = "automagik"

Calculate = Callable[[str, datetime, ZoneInfo], datetime | None]
Times = Mapping[str, list[float]]
"""In microseconds, by calculator."""


def ours(rule: str, instant: datetime, zone: ZoneInfo) -> datetime | None:
    return load_cadence("cron", rule, timezone=zone.key, anchor=START).next_after(instant)


def by_croniter(rule: str, instant: datetime, zone: ZoneInfo) -> datetime | None:
    found: datetime = croniter(rule, instant.astimezone(zone)).get_next(datetime)
    return found


def by_cronsim(rule: str, instant: datetime, zone: ZoneInfo) -> datetime | None:
    found: datetime = next(CronSim(rule, instant.astimezone(zone)))
    return found


CALCULATORS: dict[str, Calculate] = {
    _OURS: ours,
    "croniter": by_croniter,
    "cronsim": by_cronsim,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--zone", default="Europe/Berlin")
    parser.add_argument("--peers", type=peer_names, default="croniter,cronsim")
    arguments = parser.parse_args()
    calculators = {name: CALCULATORS[name] for name in (_OURS, *arguments.peers)}
    zone = ZoneInfo(arguments.zone)
    measured = {rule: measure(calculators, rule, zone, arguments.rounds) for rule in RULES}
    report("cadence", list(figures(measured)), setting=vars(arguments))


def measure(calculators: Mapping[str, Calculate], rule: str, zone: ZoneInfo, rounds: int) -> Times:
    """They take turns, so that a busy machine slows all alike."""
    seconds = random.Random(rule)
    times: dict[str, list[float]] = {name: [] for name in calculators}
    for _ in range(rounds):
        instant = START + timedelta(seconds=seconds.randrange(365 * 86_400))
        for name, calculate in calculators.items():
            begun = perf_counter_ns()
            calculate(rule, instant, zone)
            times[name].append((perf_counter_ns() - begun) / 1000)
    return times


def figures(measured: Mapping[str, Times]) -> Iterator[Figure]:
    calculators = next(iter(measured.values()))
    of_all = {name: [t for by in measured.values() for t in by[name]] for name in calculators}
    yield _figure("all rules, median", {name: median(of_all[name]) for name in of_all}, most=60)
    yield _figure("all rules, p95", {name: percentile(of_all[name], 95) for name in of_all})
    for rule, times in measured.items():
        yield _figure(f"{rule}, median", {name: median(times[name]) for name in times})


def _figure(what: str, values: Mapping[str, float], *, most: float | None = None) -> Figure:
    peers = {name: value for name, value in values.items() if name != _OURS}
    return Figure(what=what, unit="µs", ours=values[_OURS], peers=peers, most=most)


if __name__ == "__main__":
    main()
