"""What evaluating a cron schedule costs: the next occurrence after an instant, in a zone.

    uv run python benchmarks/cadence.py [--rounds 2000] [--zone Europe/Berlin]

Each rule is loaded from its text and asked for its next occurrence after random instants of a year,
as beat does at every fire. croniter and cronsim do the same in the same run. A table of medians in
microseconds goes to the error output, JSON to the output. Ends with 1 when our median is 60 or
more.
"""

import argparse
import json
import random
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median, quantiles
from time import perf_counter_ns
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim

from automagik.core.scheduler.cadence import load_cadence

START = datetime(2026, 1, 1, tzinfo=UTC)
LIMIT_MICROSECONDS = 60
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

Calculate = Callable[[str, datetime, ZoneInfo], datetime | None]


def ours(rule: str, instant: datetime, zone: ZoneInfo) -> datetime | None:
    return load_cadence("cron", rule, timezone=zone.key, anchor=START).next_after(instant)


def by_croniter(rule: str, instant: datetime, zone: ZoneInfo) -> datetime | None:
    found: datetime = croniter(rule, instant.astimezone(zone)).get_next(datetime)
    return found


def by_cronsim(rule: str, instant: datetime, zone: ZoneInfo) -> datetime | None:
    found: datetime = next(CronSim(rule, instant.astimezone(zone)))
    return found


CALCULATORS: dict[str, Calculate] = {
    "automagik": ours,
    "croniter": by_croniter,
    "cronsim": by_cronsim,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--zone", default="Europe/Berlin")
    arguments = parser.parse_args()
    zone = ZoneInfo(arguments.zone)
    measured = {rule: measure(rule, zone, arguments.rounds) for rule in RULES}
    overall = {
        name: summary([t for rule in RULES for t in measured[rule][name]]) for name in CALCULATORS
    }
    show(
        {rule: {name: median(times) for name, times in by.items()} for rule, by in measured.items()}
    )
    show({"all": {name: found["median"] for name, found in overall.items()}})
    rules = {
        rule: {name: summary(times) for name, times in by.items()} for rule, by in measured.items()
    }
    print(
        json.dumps(
            {"zone": zone.key, "rounds": arguments.rounds, "microseconds": overall, "rules": rules},
            indent=2,
        )
    )
    return int(overall["automagik"]["median"] >= LIMIT_MICROSECONDS)


def measure(rule: str, zone: ZoneInfo, rounds: int) -> dict[str, list[float]]:
    """Microseconds per calculator; they take turns, so that a busy machine slows all alike."""
    seconds = random.Random(rule)
    times: dict[str, list[float]] = {name: [] for name in CALCULATORS}
    for _ in range(rounds):
        instant = START + timedelta(seconds=seconds.randrange(365 * 86_400))
        for name, calculate in CALCULATORS.items():
            begun = perf_counter_ns()
            calculate(rule, instant, zone)
            times[name].append((perf_counter_ns() - begun) / 1000)
    return times


def summary(times: list[float]) -> dict[str, float]:
    return {"median": round(median(times), 1), "p95": round(quantiles(times, n=20)[-1], 1)}


def show(medians: dict[str, dict[str, float]]) -> None:
    for rule, by in medians.items():
        cells = "".join(f"{name} {time:9.1f}   " for name, time in by.items())
        print(f"{rule:<24}{cells}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
