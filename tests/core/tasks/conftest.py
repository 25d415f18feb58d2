"""A TaskManager over a database of the test alone, and a task."""

from collections.abc import Iterator

import pytest

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.flows.flow_input import FlowInput
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.values import Task
from tests.core.tasks.rows import add_flow


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.require_database_url())
    yield opened
    opened.dispose()


@pytest.fixture
def tasks(database: Database, settings: Settings) -> TaskManager:
    return TaskManager(database, settings)


@pytest.fixture
def task(database: Database, tasks: TaskManager) -> Task:
    """A pending task of a flow called greeter."""
    return tasks.create(add_flow(database), FlowInput(input_value="hi"), actor="test")
