"""Task ids on their way to workers."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A task id on its way to a worker, with the names that people see in Flower."""

    task_id: UUID
    queue: str
    flow: str
    schedule: str | None


class ReadyQueues(Protocol):
    """The lists of task ids in Redis, one per queue. Every method raises RedisUnreachable."""

    def publish(self, deliveries: Sequence[Delivery]) -> None: ...

    def lengths(self, names: Iterable[str]) -> Mapping[str, int]: ...

    def task_ids(self, names: Iterable[str]) -> set[UUID]:
        """All that wait in these queues."""
        ...


def task_id_of(message: str | bytes) -> UUID | None:
    """Of a message as it lies in Redis; None for what is no delivery."""
    try:
        return UUID(json.loads(message)["headers"]["id"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
