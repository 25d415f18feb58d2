"""What the tables say of tasks that violations name, to find the cause when all is gone."""

import re
from collections.abc import Sequence
from itertools import islice
from uuid import UUID

from tests.system.chaos.stage import Stage

TASKS = 5

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_QUERIES = {
    "task": "SELECT * FROM tasks WHERE id = :id",
    "attempts": "SELECT * FROM task_attempts WHERE task_id = :id ORDER BY attempt",
    "events": "SELECT * FROM task_events WHERE task_id = :id ORDER BY id",
    "log": "SELECT * FROM task_logs WHERE task_id = :id ORDER BY id",
}


def evidence(stage: Stage, violations: Sequence[str]) -> list[str]:
    named = dict.fromkeys(UUID(found) for line in violations for found in _UUID.findall(line))
    known = (task_id for task_id in named if _rows(stage, "task", task_id))
    return [
        line
        for task_id in islice(known, TASKS)
        for kind in _QUERIES
        for line in (f"{kind} of {task_id}:", *_rows(stage, kind, task_id))
    ]


def _rows(stage: Stage, kind: str, task_id: UUID) -> list[str]:
    found = stage.fleet.rows(_QUERIES[kind], id=task_id)
    return [", ".join(f"{k}={v}" for k, v in row._mapping.items()) for row in found]
