"""The kinds of time rules and their spellings."""

from enum import StrEnum

_SPELLINGS = {"one-time": "oneshot", "one-shot": "oneshot", "once": "oneshot"}


class ScheduleType(StrEnum):
    """`ScheduleType("One_Time")` is ONESHOT: case, `_` and the spellings in use are accepted."""

    INTERVAL = "interval"
    CRON = "cron"
    ONESHOT = "oneshot"
    RRULE = "rrule"
    CALENDAR = "calendar"
    AFTER = "after"
    """No time rule: it runs when another run has ended."""

    @classmethod
    def _missing_(cls, value: object) -> "ScheduleType | None":
        text = str(value).strip().lower().replace("_", "-")
        name = _SPELLINGS.get(text, text)
        return next((kind for kind in cls if kind.value == name), None)
