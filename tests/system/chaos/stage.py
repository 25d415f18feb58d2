"""Servers of this run alone, the crew on them, and what faults and load need to know of both."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from automagik.core.config import Settings, with_driver
from automagik.core.database.migrate import upgrade
from automagik.core.embedded.postgres import EmbeddedPostgres
from automagik.core.embedded.redis_server import EmbeddedRedis
from automagik.core.flows.sources import SourceManager
from automagik.core.flows.sync import FlowSync
from automagik.demo.connection import Connection
from automagik.demo.faults import Fault, reset
from automagik.demo.flows import Flow, built_in_flows
from automagik.demo.server import DemoServer
from tests.conftest import settings_in
from tests.system.chaos.crew import Crew
from tests.system.chaos.roster import Member
from tests.system.fleet import Fleet, fleet_of

TIMES = {
    "AUTOMAGIK_LEASE_SECONDS": "3",
    "AUTOMAGIK_RUN_TIMEOUT_SECONDS": "8",
    "AUTOMAGIK_DRAIN_SECONDS": "2",
    "AUTOMAGIK_BREAKER_PAUSE_SECONDS": "2",
    # However late, each occurrence runs for itself and can be counted.
    "AUTOMAGIK_MISFIRE_GRACE_SECONDS": "3600",
}
PARALLEL_RUNS = 60
POISON = "Poison"


class ForgetfulRedis(EmbeddedRedis):
    """Empty after each start."""

    def _write_config(self, port: int) -> Path:
        path = super()._write_config(port)
        path.write_text(path.read_text().replace("appendonly yes", "appendonly no"))
        return path


@dataclass(kw_only=True, slots=True)
class Stage:
    postgres: EmbeddedPostgres
    redis: ForgetfulRedis
    server: DemoServer
    server_faults: dict[str, Fault]
    settings: Settings
    fleet: Fleet
    crew: Crew
    poisoned: int = 0
    """How many processes a flow has killed."""
    cancelled: int = 0
    doubled: int = 0
    logs: Path = field(default_factory=Path)


@contextmanager
def stage_in(home: Path, members: Sequence[Member]) -> Iterator[Stage]:
    """With flows to run, and before any beat or worker is started."""
    with ExitStack() as stack:
        postgres = EmbeddedPostgres(home, options={"fsync": "off"})
        stack.callback(postgres.stop)
        upgrade(with_driver(postgres.start()))
        redis = ForgetfulRedis(home)
        stack.callback(redis.stop)
        redis.start()
        faults: dict[str, Fault] = {}
        server = stack.enter_context(
            DemoServer(flows=[*built_in_flows(), _poison_flow()], faults=faults)
        )
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        urls = {"DATABASE_URL": postgres.url, "REDIS_URL": redis.url}
        settings = stack.enter_context(
            settings_in(patch, AUTOMAGIK_HOME=str(home / "crew"), **TIMES, **urls)
        )
        fleet = stack.enter_context(fleet_of(settings, home / "logs"))
        stage = Stage(
            postgres=postgres,
            redis=redis,
            server=server,
            server_faults=faults,
            settings=settings,
            fleet=fleet,
            crew=Crew(fleet, members),
            logs=home / "logs",
        )
        faults[POISON.lower()] = _poison(stage)
        _sync(stage)
        yield stage


def _sync(stage: Stage) -> None:
    SourceManager(stage.fleet.database, stage.settings).add(
        "demo",
        stage.server.url,
        api_key=SecretStr(stage.server.api_key),
        max_parallel_runs=PARALLEL_RUNS,
    )
    FlowSync(stage.fleet.database, stage.settings).sync()


def _poison_flow() -> Flow:
    flow = deepcopy(next(flow for flow in built_in_flows() if flow["name"] == "Echo"))
    names = {"name": POISON, "endpoint_name": POISON.lower()}
    return flow | names | {"id": "8f14e45f-ceea-467f-a0e6-1f3a5b6c7d05"}


def _poison(stage: Stage) -> Fault:
    """Kills whoever calls."""

    def fault(connection: Connection, stopping: Event) -> None:
        port = int(connection.client_address[1])
        if stage.crew.kill_client(port, of=urlsplit(stage.server.url).port or 0):
            stage.poisoned += 1
        reset()(connection, stopping)

    return fault
