"""A ready-queue with the faults of Redis at the command of a test."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from automagik.core.exceptions import RedisUnreachable
from automagik.core.scheduler.delivery import Delivery


class ForgetfulQueue:
    """It may lose all, break in the middle of a publish, and hand out again what it gave away."""

    def __init__(self) -> None:
        self.waiting: list[UUID] = []
        self.ever_sent: list[UUID] = []
        """Any of these may reach a worker at any time: twice, late, after a flush."""
        self.breaks_after: int | None = None
        """From so many deliveries of a publish on, Redis is away."""

    def publish(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries[: self.breaks_after]:
            self.waiting.append(delivery.task_id)
            self.ever_sent.append(delivery.task_id)
        if self.breaks_after is not None:
            raise RedisUnreachable

    def lengths(self, names: Iterable[str]) -> Mapping[str, int]:
        """As if all waited in each of them: in these tests there is one."""
        return dict.fromkeys(names, len(self.waiting))

    def task_ids(self, names: Iterable[str]) -> set[UUID]:  # noqa: ARG002
        return set(self.waiting)

    def flush(self) -> None:
        self.waiting.clear()

    def take(self, index: int) -> UUID:
        """The delivery goes to a worker, in any order."""
        return self.waiting.pop(index % len(self.waiting))
