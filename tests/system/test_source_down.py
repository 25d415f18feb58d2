"""A source goes down and comes back: its tasks wait meanwhile, and use few attempts."""

import pytest
from pydantic import SecretStr

from automagik.core.config import Settings
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.manager import FlowManager
from automagik.core.flows.sources import SourceManager
from automagik.core.flows.sync import FlowSync
from automagik.core.flows.values import Breaker
from automagik.core.tasks.manager import TaskManager
from automagik.demo.server import DemoServer
from tests.system.fleet import Fleet
from tests.system.history import violations

pytestmark = pytest.mark.system

RUNS = 40
RETRIES = 5
FAILURES = 3
SLOTS = 4
KEY = "key-of-the-demo"


def test_tasks_of_a_source_that_is_down_wait_and_all_complete_when_it_is_back(
    fleet: Fleet, settings: Settings, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOMAGIK_BREAKER_FAILURES", str(FAILURES))
    monkeypatch.setenv("AUTOMAGIK_BREAKER_PAUSE_SECONDS", "0.5")
    sources = SourceManager(fleet.database, settings)
    with DemoServer(api_key=KEY, port=free_port) as server:
        sources.add("demo", server.url, api_key=SecretStr(KEY), max_parallel_runs=SLOTS)
        FlowSync(fleet.database, settings).sync()
    echo = FlowManager(fleet.database, settings).get("Echo")
    tasks = TaskManager(fleet.database, settings)
    for number in range(RUNS):
        tasks.create(echo, FlowInput(input_value=str(number)), actor="test", max_retries=RETRIES)
    fleet.beat()
    fleet.worker("-c", str(SLOTS))

    down = "SELECT breaker_opened_at IS NOT NULL AND breaker_failures >= :some FROM sources"
    fleet.wait_for(down, some=FAILURES + 2, seconds=60)
    source = sources.get("demo")
    assert source.breaker in (Breaker.OPEN, Breaker.PROBING)
    assert "refused" in (source.breaker_reason or "")
    # Those under way when it opened, and one for each probe; without a breaker every task
    # would have used attempts by now.
    assert fleet.value("SELECT count(*) FROM task_attempts") <= FAILURES + SLOTS + 4
    with DemoServer(api_key=KEY, port=free_port):
        all_completed = "SELECT count(*) = :all FROM tasks WHERE state = 'completed'"
        fleet.wait_for(all_completed, all=RUNS, seconds=90)

    assert sources.get("demo").breaker is Breaker.CLOSED
    assert violations(fleet.database) == []
