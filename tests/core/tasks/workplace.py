"""A worker process, as far as it is ours, and a source whose flows it runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from threading import Thread
from uuid import UUID

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.manager import FlowManager
from automagik.core.flows.sync import FlowSync
from automagik.core.tasks.flow_call import FlowCaller
from automagik.core.tasks.heartbeat import Heartbeat
from automagik.core.tasks.ledger import Ledger
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.task_runner import Report, TaskRunner
from automagik.core.tasks.values import Task
from automagik.demo.faults import Fault
from automagik.demo.server import DemoServer
from tests.core.flows.synced import add_source
from tests.core.records import add_worker

API_KEY = "sk-canary-7f3a9b2c5d8e"


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """A worker process with its runner, and the source whose flows it runs."""

    settings: Settings
    database: Database
    server: DemoServer
    faults: dict[str, Fault]
    heartbeat: Heartbeat
    ledger: Ledger
    runner: TaskRunner

    def create(
        self,
        flow: str,
        text: str = "",
        *,
        tweaks: dict[str, dict[str, object]] | None = None,
        max_retries: int | None = None,
        timeout: timedelta | None = None,
    ) -> Task:
        return TaskManager(self.database, self.settings).create(
            FlowManager(self.database, self.settings).get(flow),
            FlowInput(input_value=text, tweaks=tweaks or {}),
            actor="test",
            max_retries=max_retries,
            timeout=timeout,
        )

    def run(self, task_id: UUID) -> Report:
        report = self.runner.run(task_id)
        assert report is not None
        return report

    @contextmanager
    def running(self, task_id: UUID) -> Iterator[list[Report]]:
        """The run goes on in another thread; its report is there after the block."""
        reports: list[Report] = []
        thread = Thread(target=lambda: reports.append(self.run(task_id)))
        thread.start()
        self.server.wait_for_runs(bool)
        yield reports
        thread.join(timeout=10)
        assert not thread.is_alive()


@contextmanager
def site_of(database: Database, settings: Settings) -> Iterator[Site]:
    faults: dict[str, Fault] = {}
    worker = add_worker(database)
    lease = timedelta(seconds=settings.lease_seconds)
    heartbeat = Heartbeat(database, worker, lease=lease, announces=True)
    heartbeat.start()
    ledger = Ledger(database, settings, worker, full_sources=heartbeat.full_sources)
    with DemoServer(api_key=API_KEY, faults=faults) as server:
        add_source(database, settings, server)
        FlowSync(database, settings).sync()
        yield Site(
            settings=settings,
            database=database,
            server=server,
            faults=faults,
            heartbeat=heartbeat,
            ledger=ledger,
            runner=TaskRunner(
                ledger=ledger,
                worker=worker,
                heartbeat=heartbeat,
                call=FlowCaller(settings, ledger.definition_of),
                random=Random(1),
            ),
        )
    heartbeat.stop()
