"""What tests of sources and flows begin with: definitions, a source, rows that hang on a flow."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import func, insert

from automagik.core.config import Settings
from automagik.core.database.base import new_id
from automagik.core.database.models import ScheduleRow, TaskLogRow, TaskRow
from automagik.core.database.session import Database
from automagik.core.flows.sources import SourceManager
from automagik.core.flows.values import Flow, Source
from automagik.core.tasks.states import TaskState
from automagik.demo.flows import built_in_flows
from automagik.demo.server import DemoServer

FLOWS = Path(__file__).parents[2] / "data" / "langflow" / "flows"


def built_in(name: str) -> dict[str, Any]:
    """A demo flow by its name, as a copy of one's own."""
    return deepcopy(next(flow for flow in built_in_flows() if flow["name"] == name))


def recorded(name: str) -> dict[str, Any]:
    """A real flow, as the demo server needs it."""
    real = json.loads((FLOWS / f"{name}.json").read_text(encoding="utf-8"))
    return built_in("Echo") | {
        "id": real["id"],
        "name": real["name"],
        "endpoint_name": real.get("endpoint_name") or name,
        "data": real["data"],
    }


def node(flow: dict[str, Any], kind: str) -> dict[str, Any]:
    """The first node of a type."""
    found: dict[str, Any] = next(n for n in flow["data"]["nodes"] if n["data"]["type"] == kind)
    return found


def add_source(
    database: Database, settings: Settings, server: DemoServer, name: str = "demo"
) -> Source:
    sources = SourceManager(database, settings)
    return sources.add(name, server.url, api_key=SecretStr(server.api_key))


def add_task(database: Database, flow: Flow, *, state: TaskState = TaskState.PENDING) -> UUID:
    """A task with one log line."""
    task_id = new_id()
    lease = func.now() if state is TaskState.RUNNING else None
    with database.transaction() as connection:
        connection.execute(
            insert(TaskRow).values(
                id=task_id,
                flow_id=flow.id,
                flow_version_id=flow.version_id,
                source_id=flow.source_id,
                max_retries=0,
                max_attempts=1,
                timeout_seconds=1,
                state=state,
                lease_expires_at=lease,
                finished_at=func.now() if state.is_final else None,
            )
        )
        connection.execute(
            insert(TaskLogRow).values(
                task_id=task_id,
                attempt=1,
                at=func.now(),
                level="info",
                component="test",
                message="said",
            )
        )
    return task_id


def add_schedule(database: Database, flow: Flow, *, name: str = "often") -> None:
    with database.transaction() as connection:
        connection.execute(
            insert(ScheduleRow).values(
                name=name,
                flow_id=flow.id,
                type="interval",
                expr="1h",
                timezone="UTC",
                anchor_at=func.now(),
                next_run_at=func.now(),
            )
        )
