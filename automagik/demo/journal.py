"""The runs a demo server has seen, for those who test against it."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from threading import Condition
from typing import Any

LIMIT = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    flow: str
    """The endpoint name."""
    session_id: str
    input_value: str | None
    streamed: bool
    idempotency_key: str | None
    traceparent: str | None
    started: datetime
    outcome: str = "running"
    """running, completed, failed, aborted, refused (the request) or fault (made on purpose)."""

    def as_json(self) -> dict[str, Any]:
        return {
            "flow": self.flow,
            "session_id": self.session_id,
            "input_value": self.input_value,
            "streamed": self.streamed,
            "idempotency_key": self.idempotency_key,
            "traceparent": self.traceparent,
            "started": self.started.isoformat(),
            "outcome": self.outcome,
        }


class Journal:
    """The last runs, oldest first."""

    def __init__(self) -> None:
        self._records: OrderedDict[int, RunRecord] = OrderedDict()
        self._numbers = count(1)
        self._changed = Condition()

    @property
    def runs(self) -> list[RunRecord]:
        with self._changed:
            return list(self._records.values())

    def begin(self, flow: str, **what: Any) -> int:
        """Notes a run and returns its number; the keywords are the fields of RunRecord."""
        with self._changed:
            number = next(self._numbers)
            self._records[number] = RunRecord(flow=flow, started=datetime.now(UTC), **what)
            if len(self._records) > LIMIT:
                self._records.popitem(last=False)
            self._changed.notify_all()
            return number

    def finish(self, number: int, outcome: str) -> None:
        with self._changed:
            if number in self._records:
                self._records[number] = replace(self._records[number], outcome=outcome)
            self._changed.notify_all()

    def wait_until(
        self, holds: Callable[[list[RunRecord]], bool], *, seconds: float = 5.0
    ) -> list[RunRecord]:
        """The runs, as soon as they fulfil a condition. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(
                lambda: holds(list(self._records.values())), timeout=seconds
            ):
                raise TimeoutError(f"The runs are still: {list(self._records.values())}")
            return list(self._records.values())
