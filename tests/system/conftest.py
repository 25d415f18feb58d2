"""A fleet of real processes, and a source with flows to run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.manager import FlowManager
from automagik.core.flows.sources import SourceManager
from automagik.core.flows.sync import FlowSync
from automagik.core.flows.values import Flow
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.values import CadenceText, Schedule
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.values import Task
from automagik.demo.server import DemoServer
from tests.system import fork_server
from tests.system.fleet import Fleet, fleet_of


def pytest_sessionfinish() -> None:
    fork_server.stop()


@pytest.fixture
def fleet(settings: Settings, tmp_path: Path) -> Iterator[Fleet]:
    with fleet_of(settings, tmp_path / "logs") as fleet:
        yield fleet


@pytest.fixture
def demo_server() -> Iterator[DemoServer]:
    with DemoServer() as server:
        yield server


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """What a user does: everything goes through the managers."""

    database: Database
    settings: Settings

    def flow(self, name: str) -> Flow:
        return FlowManager(self.database, self.settings).get(name)

    def run(
        self,
        flow: str,
        text: str = "",
        *,
        tweaks: Mapping[str, Mapping[str, object]] | None = None,
        max_retries: int | None = None,
        timeout: timedelta | None = None,
    ) -> Task:
        return TaskManager(self.database, self.settings).create(
            self.flow(flow),
            FlowInput(input_value=text, tweaks=tweaks or {}),
            actor="test",
            max_retries=max_retries,
            timeout=timeout,
        )

    def schedule(
        self,
        flow: str,
        type_: str,
        expr: str,
        *,
        text: str = "on time",
        name: str | None = None,
    ) -> Schedule:
        return SchedulerManager(self.database, self.settings).create(
            self.flow(flow),
            CadenceText(type=type_, expr=expr),
            run_input=FlowInput(input_value=text),
            name=name,
        )


@pytest.fixture
def desk(fleet: Fleet, settings: Settings, demo_server: DemoServer) -> Desk:
    return desk_at(fleet, settings, demo_server)


def desk_at(fleet: Fleet, settings: Settings, demo_server: DemoServer) -> Desk:
    """With the demo server as a synced source that takes any number of parallel runs."""
    SourceManager(fleet.database, settings).add(
        "demo",
        demo_server.url,
        api_key=SecretStr(demo_server.api_key),
        max_parallel_runs=10_000,
    )
    FlowSync(fleet.database, settings).sync()
    return Desk(database=fleet.database, settings=settings)
