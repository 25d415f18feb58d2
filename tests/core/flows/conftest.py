"""A server with flows that is the source `demo`, and our side of it."""

from collections.abc import Iterator
from typing import Any

import pytest

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.flows.manager import FlowManager
from automagik.core.flows.sync import FlowSync
from automagik.demo.faults import Fault
from automagik.demo.server import DemoServer
from tests.core.flows.synced import add_source, built_in


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.require_database_url())
    yield opened
    opened.dispose()


@pytest.fixture
def first_flows() -> list[dict[str, Any]]:
    """What the server has at the beginning."""
    return [built_in("Echo"), built_in("Failing")]


@pytest.fixture
def faults() -> dict[str, Fault]:
    return {}


@pytest.fixture
def server(
    first_flows: list[dict[str, Any]],
    faults: dict[str, Fault],
    database: Database,
    settings: Settings,
) -> Iterator[DemoServer]:
    """A server that is the source `demo`."""
    with DemoServer(flows=first_flows, faults=faults) as running:
        add_source(database, settings, running)
        yield running


@pytest.fixture
def remote_flows(server: DemoServer) -> list[dict[str, Any]]:
    """The flows on the server, to be changed as a user of LangFlow does."""
    return server._world.flows


@pytest.fixture
def sync(server: DemoServer, database: Database, settings: Settings) -> FlowSync:
    return FlowSync(database, settings)


@pytest.fixture
def flows(database: Database, settings: Settings) -> FlowManager:
    return FlowManager(database, settings)
