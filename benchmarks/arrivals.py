"""What a beat publishes and when: one consumer that takes messages as workers do."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event, Thread
from typing import Self, cast

from benchmarks.beat_systems import BeatSystem

_LOOK_SECONDS = 0.2
_END_EVERY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Arrival:
    at: float
    """When it was there to be taken, in seconds since the epoch."""
    message: bytes


class Arrivals:
    """Takes what comes to the queue of a beat while it is entered."""

    def __init__(self, system: BeatSystem) -> None:
        self._system = system
        self._broker = system.broker()
        self._stop = Event()
        self._thread = Thread(target=self._take, name="arrivals")
        self._ended = 0
        self._end_due = 0.0
        self.all: list[Arrival] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._broker.close()

    def attend(self, seconds: float) -> None:
        """Lets time pass; the runs that come end, so that nothing piles up."""
        until = time.monotonic() + seconds
        while True:
            if time.monotonic() >= self._end_due:
                self._end()
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _END_EVERY_SECONDS))

    def by_instant(self) -> Sequence[tuple[float, float]]:
        """For which instant each was sent, and when it came."""
        due = self._system.due_at([arrival.message for arrival in self.all])
        return [(instant, each.at) for instant, each in zip(due, self.all, strict=True)]

    def _end(self) -> None:
        fresh = self.all[self._ended :]
        self._system.end([arrival.message for arrival in fresh])
        self._ended += len(fresh)
        self._end_due = time.monotonic() + _END_EVERY_SECONDS

    def _take(self) -> None:
        queue = self._system.queue
        while not self._stop.is_set():
            taken = self._broker.blmpop(_LOOK_SECONDS, 1, queue, direction="RIGHT", count=1_000)
            at = time.time()
            if taken:
                self.all.extend(Arrival(at, cast("bytes", message)) for message in taken[1])
