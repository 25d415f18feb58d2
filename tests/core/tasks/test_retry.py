"""When a failed attempt is tried again."""

from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automagik.core.tasks.retry import BASE, CAP, LONGEST_RETRY_AFTER, backoff

ATTEMPTS = st.integers(1, 10_000)
SEEDS = st.integers().map(Random)


class Extreme(Random):
    """Draws the same number each time."""

    def __init__(self, drawn: float) -> None:
        super().__init__()
        self.drawn = drawn

    def random(self) -> float:
        return self.drawn


LEAST, MOST = Extreme(0.0), Extreme(1.0)


@given(ATTEMPTS, SEEDS)
def test_the_wait_is_never_negative_and_never_longer_than_the_cap(
    attempt: int, random: Random
) -> None:
    assert timedelta() <= backoff(attempt, random=random) <= CAP


@pytest.mark.parametrize(
    ("attempt", "longest"), [(1, BASE), (2, 2 * BASE), (5, 16 * BASE), (9, 256 * BASE), (10, CAP)]
)
def test_the_longest_wait_doubles_with_each_attempt_up_to_the_cap(
    attempt: int, longest: timedelta
) -> None:
    assert backoff(attempt, random=MOST) == longest
    assert backoff(attempt, random=LEAST) == timedelta()


@given(st.integers(1, 100))
def test_waits_are_spread_over_the_whole_range(attempt: int) -> None:
    half = backoff(attempt, random=Extreme(0.5))

    assert half == backoff(attempt, random=MOST) / 2


@given(ATTEMPTS, SEEDS, st.timedeltas(timedelta(), timedelta(days=30)))
def test_what_the_server_asks_for_is_the_least_within_reason(
    attempt: int, random: Random, asked: timedelta
) -> None:
    wait = backoff(attempt, random=random, retry_after=asked)

    least = min(asked, LONGEST_RETRY_AFTER)
    assert least <= wait <= least + CAP


@given(ATTEMPTS, st.integers())
def test_the_same_random_numbers_give_the_same_wait(attempt: int, seed: int) -> None:
    assert backoff(attempt, random=Random(seed)) == backoff(attempt, random=Random(seed))
