"""A database and a ready-queue of the test alone."""

from collections.abc import Iterator

import pytest

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from tests.core.records import opened
from tests.core.tasks.rows import add_flow
from tests.workers.queues import queue_in
from workers.ready_queue import CeleryReadyQueues


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    with opened(settings.require_database_url()) as database:
        yield database


@pytest.fixture
def flow(database: Database) -> Flow:
    return add_flow(database)


@pytest.fixture
def queue(redis_url: str) -> Iterator[CeleryReadyQueues]:
    with queue_in(redis_url) as queue:
        yield queue
