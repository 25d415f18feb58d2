"""How far this host's clock is from PostgreSQL's, which alone decides what is due."""

import logging
import time
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

logger = logging.getLogger(__name__)

LARGEST_SKEW = timedelta(seconds=2)
"""Times that a host writes into logs may be off by as much."""
SLOWEST_ANSWER = timedelta(seconds=1)
"""A slower answer says too little about the moment at which it was given."""


class HostClock:
    """Measures the clock of this host, and says in the log when it is or goes far off."""

    def __init__(self) -> None:
        self._told = 0.0

    def offset(self, connection: Connection) -> float | None:
        """Seconds that it is ahead of PostgreSQL's; None when PostgreSQL was too slow to tell."""
        offset = measured_offset(connection)
        if offset is not None and abs(offset - self._told) > LARGEST_SKEW.total_seconds():
            self._told = offset
            _tell(offset)
        return offset


def measured_offset(connection: Connection) -> float | None:
    """Half of the time that the answer took is taken off."""
    before, started = time.time(), time.monotonic()
    there: datetime = connection.scalars(select(func.clock_timestamp())).one()
    took = time.monotonic() - started
    if took > SLOWEST_ANSWER.total_seconds():
        return None
    return before + took / 2 - there.timestamp()


def is_far_off(offset: float | None) -> bool:
    return offset is not None and abs(offset) > LARGEST_SKEW.total_seconds()


def _tell(offset: float) -> None:
    if is_far_off(offset):
        logger.warning(
            "This host's clock is %+.1f s against PostgreSQL's, which decides what is due."
            " Synchronize the clocks of both hosts by NTP",
            offset,
        )
    else:
        logger.info("This host's clock agrees with PostgreSQL's again")
