"""What may be said of a run by itself, then by its schedule, its flow and the settings."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from automagik.core.exceptions import InvalidInput

LOWEST_PRIORITY, HIGHEST_PRIORITY = -1000, 1000


class RunOption(StrEnum):
    """What a schedule may leave open, by its name on the command line."""

    PRIORITY = "priority"
    QUEUE = "queue"
    MAX_RETRIES = "max-retries"
    TIMEOUT = "timeout"


def new_columns(said: Mapping[str, Any], *, unset: Mapping[str, str]) -> dict[str, Any]:
    """What to write: the columns that are said, and nothing where `unset` names a column.

    `unset` maps columns to what people call them. Raises InvalidInput for what is both.
    """
    given = {column: value for column, value in said.items() if value is not None}
    for column in given.keys() & unset.keys():
        raise InvalidInput(f"A new {unset[column]} is given and unset at the same time.")
    return given | dict.fromkeys(unset)


def checked_priority(priority: int | None) -> int | None:
    """Raises InvalidInput."""
    if priority is None or LOWEST_PRIORITY <= priority <= HIGHEST_PRIORITY:
        return priority
    raise InvalidInput(
        f"The priority {priority} is not possible.",
        hint=f"It goes from {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}; higher runs first.",
    )
