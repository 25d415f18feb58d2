"""Many schedules due at one instant: how fast they become messages, and what each costs.

    uv run python -m benchmarks.burst [--due 1000,10000] [--beats 1,2]
        [--peers redbeat,apscheduler|none]

Half of them are cron rules in a zone (ours in four zones), half are intervals. Beats are up and
idle before the instant, and nobody takes the messages: the time ends when the last one lies in
Redis. Of ours the occurrences are committed and the clocks moved by then. Peers run one after the
other on the same servers, each with one beat. The instant is a full minute, since the cron rules of
peers know no seconds.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from benchmarks.beat_systems import OURS, BeatSystem, beat_system
from benchmarks.celery_peers import peer_names
from benchmarks.groups import PERIOD, Group
from benchmarks.report import Figure, report, say
from benchmarks.spending import Spending
from benchmarks.stack import Stack

_MINUTE_SECONDS = 60
_SHORT_SECONDS = 10
"""Between two instants that may be chosen, when no peer takes part."""
_IDLE_SECONDS = 2.0
_POLL_SECONDS = 0.005
_STUCK_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    per_second: float
    delivered_percent: float
    cpu_ms: Mapping[str, float]
    """For each run, by who spends it."""


def main() -> None:
    arguments = _arguments()
    found: list[Figure] = []
    with Stack() as stack:
        for due in arguments.due:
            found += figures(f"{due:,} at once", *measure_all(stack, due, arguments))
    report("burst", found, setting=vars(arguments))


def measure_all(
    stack: Stack, due: int, arguments: argparse.Namespace
) -> tuple[Mapping[int, Measured], Mapping[str, Measured]]:
    """Ours by the number of beats, and those of peers by name."""
    every = _MINUTE_SECONDS if arguments.peers else _SHORT_SECONDS
    ours = {
        beats: measured(stack, OURS, due, beats=beats, every=every) for beats in arguments.beats
    }
    return ours, {name: measured(stack, name, due, every=every) for name in arguments.peers}


def measured(stack: Stack, name: str, due: int, *, every: int, beats: int = 1) -> Measured:
    system = beat_system(stack, name)
    try:
        found = measure(stack, system, due, beats=beats, every=every)
    finally:
        system.clear()
    say(f"{name} x {beats}, {due:,} at once: {found.per_second:.0f}/s")
    return found


def measure(stack: Stack, system: BeatSystem, due: int, *, beats: int, every: int) -> Measured:
    instant = _instant(every, lead=8 + due / 1000)
    system.fill(*groups(instant, due, system.zones))
    system.settle()
    with system.running(beats) as pids:
        if time.time() > instant.timestamp() - _IDLE_SECONDS:
            raise RuntimeError(f"{system.name} was not ready and idle by the instant")
        _sleep_until(instant.timestamp() - _IDLE_SECONDS / 2)
        spending = Spending(stack, beat=pids)
        _sleep_until(instant.timestamp())
        delivered, last_at = await_messages(system, due)
        time.sleep(_IDLE_SECONDS)
        spent = spending.seconds()
    return Measured(
        per_second=delivered / (last_at - instant.timestamp()),
        delivered_percent=100 * delivered / due,
        cpu_ms={name: 1000 * seconds / max(delivered, 1) for name, seconds in spent.items()},
    )


def groups(instant: datetime, due: int, zones: Sequence[str]) -> Iterator[Group]:
    yield Group(prefix="interval-", count=due - due // 2, rule=PERIOD, first_at=instant)
    for number, zone in enumerate(zones):
        local = instant.astimezone(ZoneInfo(zone))
        seconds = [f"{local.second}"] if local.second else []
        yield Group(
            prefix=f"cron-{number}-",
            count=len(range(number, due // 2, len(zones))),
            rule=" ".join([*seconds, f"{local.minute} {local.hour} * * *"]),
            first_at=instant,
            zone=zone,
        )


def await_messages(system: BeatSystem, due: int) -> tuple[int, float]:
    """How many there are when no more come, and when the last one came."""
    waiting, last_at = 0, time.time()
    with system.broker() as broker:
        while waiting < due and time.time() - last_at < _STUCK_SECONDS:
            time.sleep(_POLL_SECONDS)
            if (length := broker.llen(system.queue)) != waiting:
                waiting, last_at = length, time.time()
    return waiting, last_at


def figures(
    of: str, ours: Mapping[int, Measured], peers: Mapping[str, Measured]
) -> Iterator[Figure]:
    first, *others = ours

    def figure(what: str, unit: str, value: Callable[[Measured], float], **targets: Any) -> Figure:
        return Figure(
            what=f"{what}, {of}",
            unit=unit,
            ours=value(ours[first]),
            peers={name: value(peer) for name, peer in peers.items()},
            **targets,
        )

    yield figure("rate", "1/s", _rate, least=5000, least_ratio={"redbeat": 4.0})
    yield figure("delivered", "%", lambda each: each.delivered_percent, least=100)
    for who in ours[first].cpu_ms:
        yield figure(f"processor time of {who} per run", "ms", _cpu_ms(who))
    for beats in others:
        yield Figure(
            what=f"rate of {beats} beats, {of}",
            unit="1/s",
            ours=_rate(ours[beats]),
            peers={f"{first} beat": _rate(ours[first])},
            least_ratio={f"{first} beat": 1.6},
        )


def _rate(measured: Measured) -> float:
    return measured.per_second


def _cpu_ms(who: str) -> Callable[[Measured], float]:
    return lambda measured: measured.cpu_ms[who]


def _instant(every: int, *, lead: float) -> datetime:
    """The first multiple of so many seconds that is so far away."""
    return datetime.fromtimestamp(-((time.time() + lead) // -every) * every, UTC)


def _sleep_until(at: float) -> None:
    time.sleep(max(0.0, at - time.time()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--due", type=_numbers, default="1000,10000")
    parser.add_argument("--beats", type=_numbers, default="1,2", help="of ours, at a time")
    parser.add_argument("--peers", type=peer_names, default="redbeat,apscheduler")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    main()
