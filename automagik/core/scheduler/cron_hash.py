"""`H` in a cron rule: a value that the schedule's name decides.

Many schedules with `H * * * *` spread over the hour, each at a minute of its own that stays the
same. `H(0-29)` is one of those values, `H/15` begins with one of the first 15 and goes on in steps
of 15, `H(0-29)/10` does so within the range. A day of the month is at most 28, so that each month
has it.
"""

import re
from dataclasses import replace
from hashlib import sha256

from automagik.core.scheduler.cron_fields import FIELDS, Texts
from automagik.core.scheduler.cron_parts import DAY, WEEKDAY, Field, bad_part, check_step, number

_HASH = re.compile(r"H(?:\((?P<low>[0-9]+)-(?P<high>[0-9]+)\))?(?:/(?P<step>[0-9]+))?")
_HIGHEST = {DAY: 28, WEEKDAY: 6}


def without_hashes(texts: Texts, *, name: str) -> Texts:
    """The same rule with plain values. Raises InvalidCadence."""
    found = {
        attribute: _field_without_hashes(field, text, name=name)
        for attribute, field in FIELDS.items()
        if "H" in (text := getattr(texts, attribute))
    }
    return replace(texts, **found)


def _field_without_hashes(field: Field, text: str, *, name: str) -> str:
    seed = int.from_bytes(sha256(f"{field.name}\n{name}".encode()).digest())
    return ",".join(
        _chosen(field, match, seed=seed) if (match := _HASH.fullmatch(part)) else part
        for part in text.split(",")
    )


def _chosen(field: Field, match: re.Match[str], *, seed: int) -> str:
    part = match[0]
    low, high = field.low, _HIGHEST.get(field, field.high)
    if match["low"] is not None:
        low, high = (number(field, match[end], part=part) for end in ("low", "high"))
    size = high - low + 1
    if size < 1:
        raise bad_part(field, part, "the range of H rises")
    if match["step"] is None:
        return str(low + seed % size)
    check_step(field, match["step"], part=part, size=size)
    return f"{low + seed % int(match['step'])}-{high}/{match['step']}"
