"""What statements really read, as PostgreSQL's own auto_explain tells it of each that runs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text

_TOLD = {
    "log_min_duration": "0",
    "log_analyze": "on",
    "log_timing": "off",
    "log_format": "json",
    "log_nested_statements": "on",
    "log_level": "notice",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """Of the statements of a stretch, those of triggers included."""

    plans: list[dict[str, Any]] = field(default_factory=list)

    def rows(self) -> float:
        """How many were read of tasks and their history, wanted or not."""
        return sum(_rows(node) for node in self._scans())

    def read_as_a_whole(self) -> set[str]:
        """Those of these tables that were read from end to end."""
        scans = (node for node in self._scans() if node["Node Type"] == "Seq Scan")
        return {str(node["Relation Name"]) for node in scans}

    def _scans(self) -> Iterator[dict[str, Any]]:
        for plan in self.plans:
            for node in _nodes(plan):
                if node.get("Relation Name", "").startswith("task") and "Scan" in node["Node Type"]:
                    yield node


class _Notices(list[str]):
    """Where psycopg2 puts what the server says beside its answers."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def append(self, notice: str) -> None:
        _, is_plan, plan = notice.partition("plan:\n")
        if is_plan:
            self._reading.plans.append(json.loads(plan)["Plan"])


@contextmanager
def watched(connection: Connection, reading: Reading) -> Iterator[None]:
    """Adds what this connection reads within the block."""
    raw: Any = connection.connection.dbapi_connection
    before = raw.notices
    connection.execute(text("LOAD 'auto_explain'"))
    for name, value in _TOLD.items():
        connection.execute(text(f"SET auto_explain.{name} = '{value}'"))
    raw.notices = _Notices(reading)
    try:
        yield
    finally:
        raw.notices = before
        connection.execute(text("SET auto_explain.log_min_duration = -1"))


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


def _rows(node: dict[str, Any]) -> float:
    removed = sum(each for name, each in node.items() if name.startswith("Rows Removed by"))
    return float(node["Actual Loops"] * (node["Actual Rows"] + removed))
