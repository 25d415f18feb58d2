"""Child processes as one: started in order, watched, started again, stopped in reverse order."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from automagik.core.embedded.exceptions import EmbeddedError
from automagik.core.embedded.facts import (
    Died,
    Ready,
    Restarted,
    Stopped,
    Stopping,
    Tell,
    without_password,
)
from automagik.core.embedded.processes import ChildProcess, in_words


@dataclass(frozen=True, kw_only=True, slots=True)
class RestartPolicy:
    """How often a child that dies is started again: after 1, 2, 4, 8 … seconds, then no more.

    A child that has lived `healthy_seconds` begins anew.
    """

    most: int = 5
    first_seconds: float = 1.0
    longest_seconds: float = 30.0
    healthy_seconds: float = 60.0

    def wait_before(self, restart: int) -> float | None:
        """Seconds before the n-th restart in a row, counted from 1; None: give up."""
        if restart > self.most:
            return None
        return min(self.first_seconds * 2.0 ** (restart - 1), self.longest_seconds)


@dataclass(kw_only=True, slots=True)
class _Member:
    child: ChildProcess
    started_at: float
    restarts: int = 0
    restart_at: float | None = None
    given_up: Died | None = None


@dataclass(kw_only=True)
class ProcessGroup:
    """Children in the order of their start. All methods belong to the main thread.

    `check` never waits for a child; call it several times a second.
    """

    tell: Tell
    policy: RestartPolicy = field(default_factory=RestartPolicy)
    clock: Callable[[], float] = time.monotonic
    _members: list[_Member] = field(default_factory=list, init=False)

    def start(
        self,
        child: ChildProcess,
        *,
        ready: Callable[[], bool] | None = None,
        seconds: float = 60.0,
        url: str | None = None,
    ) -> None:
        """Starts a child and waits until it is ready, if it can be asked.

        Raises ChildDied when it ends first and EmbeddedError when it takes longer than `seconds`;
        either way it stays in the group, and `stop` sees to it.
        """
        self.launch(child)
        self.await_ready(child, ready=ready, seconds=seconds, url=url)

    def launch(self, child: ChildProcess) -> None:
        """Starts a child and does not wait: `await_ready` does, when others were started, too."""
        child.start()
        self.add(child)

    def await_ready(
        self,
        child: ChildProcess,
        *,
        ready: Callable[[], bool] | None = None,
        seconds: float = 60.0,
        url: str | None = None,
    ) -> None:
        """Raises as `start` does."""
        began = next(m.started_at for m in self._members if m.child is child)
        if ready:
            child.wait_until(ready, seconds=seconds)
        shown = without_password(url) if url else None
        self.tell(Ready(name=child.name, seconds=self.clock() - began, url=shown))

    def add(self, child: ChildProcess) -> None:
        """Takes over a child that runs already."""
        self._members.append(_Member(child=child, started_at=self.clock()))

    def check(self) -> None:
        """Tells of children that died by themselves, and starts again those whose time has come."""
        for member in self._members:
            if member.given_up:
                continue
            if member.restart_at is not None:
                self._restart_when_due(member, member.restart_at)
            elif (code := member.child.poll()) is not None:
                self._report_death(member, in_words(code))

    @property
    def given_up(self) -> Died | None:
        """The first child that died too often, if any: reason enough to stop everything."""
        return next((m.given_up for m in self._members if m.given_up), None)

    def stop(self) -> None:
        """Stops all, the youngest first, each completely before the next."""
        while self._members:
            member = self._members.pop()
            if member.child.poll() is None:
                self._stop(member.child)

    def _stop(self, child: ChildProcess) -> None:
        began = self.clock()
        self.tell(Stopping(name=child.name))
        code = child.stop()
        how = "was not running" if code is None else in_words(code)
        self.tell(Stopped(name=child.name, how=how, seconds=self.clock() - began))

    def _report_death(self, member: _Member, how: str) -> None:
        child, now = member.child, self.clock()
        if now - member.started_at > self.policy.healthy_seconds:
            member.restarts = 0
        wait = self.policy.wait_before(member.restarts + 1)
        died = Died(
            name=child.name,
            how=how,
            log_tail=child.tail(),
            log_path=child.log_path,
            restart_in=wait,
        )
        if wait is None:
            member.given_up = died
        else:
            member.restart_at = now + wait
        self.tell(died)

    def _restart_when_due(self, member: _Member, due: float) -> None:
        if self.clock() < due:
            return
        member.restart_at = None
        member.restarts += 1
        member.started_at = self.clock()
        try:
            member.child.start()
        except EmbeddedError as error:
            self._report_death(member, str(error))
            return
        self.tell(Restarted(name=member.child.name, times=member.restarts))
