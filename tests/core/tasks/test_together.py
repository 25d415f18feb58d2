"""One thread does the work of all that wait."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock

import pytest

from automagik.core.tasks.together import FailedTogether, Together
from tests.core.embedded.patience import eventually

PATIENCE = 10
UNLUCKY = -1


class Office:
    """Doubles numbers. The first batch takes until the others have queued up."""

    def __init__(self, *, most: int = 100) -> None:
        self.together = Together(self._carry_out, most=most)
        self.batches: list[list[int]] = []
        self.may_go_on = Event()
        self.has_begun = Event()
        self._busy = Lock()

    def ask(self, number: int) -> int:
        return self.together.ask(number)

    def waiting(self) -> int:
        return len(self.together._waiting)

    def _carry_out(self, numbers: Sequence[int]) -> list[int]:
        assert self._busy.acquire(blocking=False), "two threads at once"
        self.batches.append(list(numbers))
        self.has_begun.set()
        assert self.may_go_on.wait(PATIENCE)
        self._busy.release()
        if UNLUCKY in numbers:
            raise ArithmeticError("unlucky")
        return [2 * number for number in numbers]


def queued_up(office: Office, pool: ThreadPoolExecutor, numbers: Sequence[int]) -> list[int]:
    """The first is under way alone, and the rest came meanwhile."""
    first = pool.submit(office.ask, numbers[0])
    assert office.has_begun.wait(PATIENCE)
    rest = [pool.submit(office.ask, number) for number in numbers[1:]]
    assert eventually(lambda: office.waiting() == len(rest), seconds=PATIENCE)
    office.may_go_on.set()
    return [future.result(PATIENCE) for future in (first, *rest)]


def test_who_is_alone_is_served_at_once() -> None:
    office = Office()
    office.may_go_on.set()

    assert [office.ask(1), office.ask(2)] == [2, 4]
    assert office.batches == [[1], [2]]


def test_what_comes_meanwhile_is_done_in_one_go_and_everybody_gets_the_own_answer() -> None:
    office = Office()
    with ThreadPoolExecutor(20) as pool:
        assert queued_up(office, pool, range(20)) == [2 * number for number in range(20)]

    assert [len(batch) for batch in office.batches] == [1, 19]


def test_no_more_than_the_most_are_done_at_once() -> None:
    office = Office(most=8)
    with ThreadPoolExecutor(20) as pool:
        queued_up(office, pool, range(20))

    assert [len(batch) for batch in office.batches] == [1, 8, 8, 3]


def test_all_whose_orders_failed_together_are_told_and_the_next_are_served() -> None:
    office = Office()
    office.may_go_on.set()

    with pytest.raises(FailedTogether) as failed:
        office.ask(UNLUCKY)

    assert isinstance(failed.value.error, ArithmeticError)
    assert office.ask(1) == 2


def test_many_threads_for_long_are_all_served() -> None:
    office = Office(most=5)
    office.may_go_on.set()
    with ThreadPoolExecutor(30) as pool:
        assert list(pool.map(office.ask, range(100, 3_000))) == list(range(200, 6_000, 2))
