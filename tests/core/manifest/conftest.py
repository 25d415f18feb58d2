"""A database of the test alone with the flow Echo, and files that are applied to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from automagik.core.scheduler.manager import SchedulerManager
from tests.core.manifest.files import Files
from tests.core.records import opened
from tests.core.scheduler.stored import add_flow


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    with opened(settings.require_database_url()) as database:
        yield database


@pytest.fixture
def flow(database: Database) -> Flow:
    return add_flow(database)


@pytest.fixture
def schedules(database: Database, settings: Settings) -> SchedulerManager:
    return SchedulerManager(database, settings)


@pytest.fixture
def files(database: Database, settings: Settings, tmp_path: Path) -> Files:
    return Files(database=database, settings=settings, folder=tmp_path)


@pytest.fixture
def flow_and_rooms(
    flow: Flow, schedules: SchedulerManager, files: Files
) -> tuple[Flow, SchedulerManager, Files]:
    """For the examples of one test, which share a database."""
    return flow, schedules, files
