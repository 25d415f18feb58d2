"""What schedules in files say of times that have passed: nothing any more. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from automagik.core.manifest.schedule_keys import (
    CADENCE_KEYS,
    PAUSE_KEYS,
    Fields,
    without_defaults,
    zone_of,
)
from automagik.core.manifest.values import Item, Kind, Manifest
from automagik.core.scheduler.as_typed import instant_of


def as_of(manifest: Manifest, now: datetime) -> Manifest:
    return replace(manifest, items=tuple(_item(item, now) for item in manifest.items))


def still_said(fields: Mapping[str, Any], *, now: datetime) -> Fields:
    """Without a pause that is over, nor the instants before others that are to come."""
    found, zone = dict(fields), zone_of(fields)
    if "paused-until" in found and instant_of(found["paused-until"], timezone=zone) <= now:
        found |= dict.fromkeys(PAUSE_KEYS)
    to_come = tuple(at for at in found.get("at", ()) if instant_of(at, timezone=zone) > now)
    if to_come or any(key in found for key in CADENCE_KEYS if key != "at"):
        found["at"] = to_come or None
    return without_defaults(found)


def _item(item: Item, now: datetime) -> Item:
    if item.kind is not Kind.SCHEDULE:
        return item
    return replace(item, fields=still_said(item.fields, now=now))
