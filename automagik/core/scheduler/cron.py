"""Cron rules: the dialect, and what happens when clocks change.

The dialect is Vixie cron's with croniter 7's, Quartz's and Jenkins's extensions:

- Five fields, or six with the seconds FIRST, or one of `@hourly @daily @midnight @weekly @monthly
  @yearly @annually`.
- Lists, ranges, steps and names; a range may wrap (`FRI-MON`, `22-2`); `7` and `0` are Sunday; `?`
  is `*` in the two day fields.
- `10/20` is `10-59/20`, so `59/15` is 59 alone. A step longer than the field is refused.
- `L` is the last day of the month, `L-3` the third before it, `5L` (or `L5`) the last Friday, `5#2`
  the second Friday. A month without such a day is left out.
- `15W` is the weekday (Monday to Friday) nearest to day 15 in the same month: the Friday before a
  Saturday, the Monday after a Sunday, but at the edges of the month the other way. `LW` is the last
  weekday, `L-3W` the one nearest to `L-3`.
- `H` is a value that the schedule's name decides: see `cron_hash.py`.
- Day of month and day of week: when neither begins with `*`, one of them is enough; else both must
  match.
- `CRON_TZ=Europe/Berlin 0 9 * * *` holds in that zone, whatever the schedule's.

When clocks change, the hour field decides:

- Hour fixed (neither `*` nor `*/n` nor `H/n`) is a wall-clock schedule, "at nine in the morning".
  Each wall time occurs once. One in a gap occurs at the first instant after the gap; several in one
  gap, and one that is due at that instant anyway, are a single occurrence. One in a fold occurs in
  the first pass. `Dst` changes both: gaps can be skipped, and both passes can count.
- Hour `*`, `*/n` or `H/n` is an elapsed schedule, "every quarter of an hour". Every real instant
  whose wall time matches is an occurrence: those in a gap do not exist, and in a fold both passes
  count.
"""

import re
from functools import lru_cache

from automagik.core.scheduler.cron_fields import compile_fields, split_fields
from automagik.core.scheduler.cron_hash import without_hashes
from automagik.core.scheduler.cron_words import describe_cron
from automagik.core.scheduler.dst import DEFAULT, ELAPSED, Dst
from automagik.core.scheduler.schedule_type import ScheduleType
from automagik.core.scheduler.wall_clock import WallClock
from automagik.core.scheduler.zones import zone_named

_ELAPSED_HOUR = re.compile(r"\*(/[0-9]+)?|H/[0-9]+")
_OWN_ZONE = re.compile(r"CRON_TZ=(\S*)\s*(.*)", re.IGNORECASE | re.DOTALL)
_EVERY = re.compile(r"\s*@every\s+(.+)", re.IGNORECASE | re.DOTALL)


def every_of(expr: str) -> str | None:
    """`90s` of `@every 90s`, which is an interval; None for all other texts."""
    match = _EVERY.fullmatch(expr)
    return match and match[1]


def parse_cron(expr: str, *, timezone: str, name: str = "", dst: Dst = DEFAULT) -> WallClock:
    """Raises InvalidCadence. The name matters to rules with `H` alone."""
    match = _OWN_ZONE.fullmatch(expr.strip())
    own_zone, rule = match.groups() if match else (None, expr)
    rule = " ".join(rule.upper().split())
    return _parse(rule, own_zone, timezone, name if "H" in rule else "", dst)


@lru_cache(maxsize=4096)
def _parse(rule: str, own_zone: str | None, timezone: str, name: str, dst: Dst) -> WallClock:
    written = split_fields(rule)
    texts = without_hashes(written, name=name)
    timetable = compile_fields(texts)
    shown = rule.lower() if rule.startswith("@") else rule
    return WallClock(
        type=ScheduleType.CRON,
        expr=shown if own_zone is None else f"CRON_TZ={own_zone} {shown}",
        words=describe_cron(texts, timetable),
        walls=timetable,
        zone=zone_named(timezone if own_zone is None else own_zone),
        dst=ELAPSED if _ELAPSED_HOUR.fullmatch(written.hour) else dst,
    )
