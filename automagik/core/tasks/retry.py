"""When a failed attempt is tried again."""

from datetime import timedelta
from random import Random

BASE = timedelta(seconds=2)
CAP = timedelta(minutes=10)
LONGEST_RETRY_AFTER = timedelta(hours=6)


def backoff(attempt: int, *, random: Random, retry_after: timedelta | None = None) -> timedelta:
    """How long to wait after the given attempt (1 is the first).

    Exponential with full jitter: uniform between 0 and min(CAP, BASE * 2^(attempt-1)), which
    spreads the retries of many tasks best (Brooker, "Exponential Backoff And Jitter", 2015). A
    server's Retry-After is the least; jitter comes on top, so that not all return at one instant.
    """
    ceiling = min(CAP, BASE * float(2 ** min(attempt - 1, 30)))
    jitter = ceiling * random.random()
    return jitter + min(retry_after or timedelta(), LONGEST_RETRY_AFTER)
