"""What all connections of a demo server share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Event

from automagik.demo.faults import Fault
from automagik.demo.flows import Flow
from automagik.demo.journal import Journal
from automagik.demo.memory import Counters


class Refused(Exception):
    """The request gets this status and this detail."""

    def __init__(self, status: int, detail: object) -> None:
        super().__init__(f"{status} {detail}")
        self.status = status
        self.detail = detail


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    flows: list[Flow]
    api_key: str
    faults: Mapping[str, Fault]
    journal: Journal = field(default_factory=Journal)
    memory: Counters = field(default_factory=Counters)
    stopping: Event = field(default_factory=Event)

    def flow(self, identifier: str) -> Flow | None:
        """The flow with this id or endpoint name."""
        names = ("id", "endpoint_name")
        return next((f for f in self.flows if identifier in (f[n] for n in names)), None)
