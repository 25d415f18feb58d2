"""A database of the test alone, and a look at it as a server of metrics takes it."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from automagik.core.metrics.happenings import Happenings
from tests.core.records import opened
from tests.core.tasks.rows import add_flow

SNAPSHOT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    with opened(settings.require_database_url()) as database:
        yield database


@pytest.fixture
def flow(database: Database) -> Flow:
    return add_flow(database)


@pytest.fixture
def look(database: Database) -> Callable[[Happenings], None]:
    def taken(happenings: Happenings) -> None:
        with database.transaction() as connection:
            connection.execute(SNAPSHOT)
            happenings.catch_up(connection)

    return taken


@pytest.fixture
def happenings(flow: Flow, look: Callable[[Happenings], None]) -> Happenings:
    """They begin here."""
    begun = Happenings(flows=10)
    look(begun)
    return begun
