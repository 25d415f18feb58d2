"""Work of many threads, done by one of them in one transaction.

A commit waits for the disk, and every statement for a round trip. What comes meanwhile is done by
the next thread in one go, so that under load many runs share both. A thread that is alone works by
itself at once.
"""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Generic, TypeVar

Order = TypeVar("Order")
Answer = TypeVar("Answer")


class FailedTogether(Exception):
    """What all are told whose orders were carried out together."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


class Together(Generic[Order, Answer]):
    """Takes orders from any thread.

    Args:
        carry_out: gives the answers to its orders, in their order.
        most: how many it gets at once.
    """

    def __init__(
        self, carry_out: Callable[[Sequence[Order]], Sequence[Answer]], *, most: int
    ) -> None:
        self._carry_out = carry_out
        self._most = most
        self._lock = Lock()
        self._waiting: list[_Ticket[Order, Answer]] = []
        self._has_leader = False

    def ask(self, order: Order) -> Answer:
        """Raises FailedTogether."""
        ticket = _Ticket[Order, Answer](order)
        with self._lock:
            self._waiting.append(ticket)
            leads, self._has_leader = not self._has_leader, True
        if not leads:
            ticket.wait()
        if not ticket.is_done:
            self._lead()
        return ticket.answer()

    def _lead(self) -> None:
        """Serves the oldest orders, this thread's among them, and names who leads next."""
        with self._lock:
            served, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        try:
            answers = self._carry_out([ticket.order for ticket in served])
            for ticket, answer in zip(served, answers, strict=True):
                ticket.answers = [answer]
        except BaseException as error:
            for ticket in served:
                ticket.error = error
            if not isinstance(error, Exception):
                raise
        finally:
            for ticket in served:
                ticket.is_done = True
                ticket.wake()
            self._hand_over()

    def _hand_over(self) -> None:
        with self._lock:
            self._has_leader = bool(self._waiting)
            if self._waiting:
                self._waiting[0].wake()


class _Ticket(Generic[Order, Answer]):
    def __init__(self, order: Order) -> None:
        self.order = order
        self.answers: list[Answer] = []
        self.error: BaseException | None = None
        self.is_done = False
        # A lock that is released once is the cheapest way to wake a thread.
        self._asleep = Lock()
        self._asleep.acquire()

    def wait(self) -> None:
        """Until it is done, or its thread is to lead."""
        self._asleep.acquire()

    def wake(self) -> None:
        if self._asleep.locked():
            self._asleep.release()

    def answer(self) -> Answer:
        if self.error is not None:
            raise FailedTogether(self.error) from self.error
        return self.answers[0]
