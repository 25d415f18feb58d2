"""Carries out a plan of faults: begins what is due, heals what is over."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from automagik.core.exceptions import Unreachable
from tests.system.chaos.breaks import BREAKS, NotYet
from tests.system.chaos.plan import Fault
from tests.system.chaos.stage import Stage

AGAIN_SECONDS = 0.5
"""How long a fault is put off that cannot be done at this moment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Incident:
    """A fault that really happened."""

    fault: Fault
    begun_at: datetime
    healed_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class _Open:
    fault: Fault
    begun_at: datetime
    heals_at: float
    stack: ExitStack


class Conductor:
    """`step` is to be called often, `heal_all` at the end, whatever happened.

    Args:
        say: gets a line for each beginning and each end.
    """

    def __init__(
        self, stage: Stage, faults: Sequence[Fault], *, seed: int, say: Callable[[str], None]
    ) -> None:
        self.incidents: list[Incident] = []
        self._stage = stage
        self._seed = seed
        self._say = say
        self._begun = time.monotonic()
        self._waiting = deque((fault.at, number, fault) for number, fault in enumerate(faults))
        self._open: list[_Open] = []

    @property
    def is_done(self) -> bool:
        return not self._waiting and not self._open

    @property
    def missed(self) -> list[Fault]:
        return [fault for _, _, fault in self._waiting]

    def step(self) -> None:
        now = time.monotonic() - self._begun
        for opened in [opened for opened in self._open if opened.heals_at <= now]:
            self._heal(opened)
        for waiting in [waiting for waiting in self._waiting if waiting[0] <= now]:
            self._waiting.remove(waiting)
            _, number, fault = waiting
            if not self._begin(number, fault):
                self._waiting.append((now + AGAIN_SECONDS, number, fault))

    def heal_all(self) -> None:
        for opened in list(self._open):
            self._heal(opened)

    def _begin(self, number: int, fault: Fault) -> bool:
        """False when there is nothing to break yet, or the means to break it are broken."""
        begun_at, stack = datetime.now(UTC), ExitStack()
        random = Random(f"{self._seed} {number}")
        try:
            stack.enter_context(BREAKS[fault.kind](self._stage, fault, random))
        except (NotYet, Unreachable):
            return False
        self._say(f"{self._elapsed():7.1f} s  {fault}")
        heals_at = self._elapsed() + fault.length
        opened = _Open(fault=fault, begun_at=begun_at, heals_at=heals_at, stack=stack)
        self._open.append(opened)
        if not fault.length:
            self._heal(opened)
        return True

    def _heal(self, opened: _Open) -> None:
        self._open.remove(opened)
        opened.stack.close()
        now = datetime.now(UTC)
        self.incidents.append(Incident(fault=opened.fault, begun_at=opened.begun_at, healed_at=now))
        if opened.fault.length:
            self._say(f"{self._elapsed():7.1f} s  over: {opened.fault.kind}")

    def _elapsed(self) -> float:
        return time.monotonic() - self._begun
