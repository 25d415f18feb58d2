"""SourceManager: only what a server has accepted is stored, and keys are never given out."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import func, select, text

from automagik.core.config import Settings
from automagik.core.database.models import FlowRow, ScheduleRow, SourceRow
from automagik.core.database.session import Database
from automagik.core.encryption import SecretUnreadable
from automagik.core.exceptions import Conflict, InvalidInput, NotFound
from automagik.core.flows.exceptions import (
    MalformedAnswer,
    SourceUnauthorized,
    SourceUnreachable,
)
from automagik.core.flows.manager import FlowManager
from automagik.core.flows.source_url import normalize_source_url, same_server
from automagik.core.flows.sources import SourceManager
from automagik.core.flows.sync import FlowSync
from automagik.core.flows.values import SourceOption
from automagik.core.tasks.states import TaskState
from automagik.demo.faults import html_page
from automagik.demo.server import DemoServer
from tests.core.embedded.patience import eventually
from tests.core.flows.synced import add_schedule, add_source, add_task
from tests.core.records import WAITS_FOR_A_ROW, rows

CANARY = "sk-canary-0123456789"
WRONG = SecretStr("sk-wrong")


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer(api_key=CANARY) as running:
        yield running


@pytest.fixture
def sources(database: Database, settings: Settings) -> SourceManager:
    return SourceManager(database, settings)


def dump(database: Database) -> str:
    """All that the table of sources holds."""
    with database.transaction() as connection:
        return str(connection.execute(text("SELECT * FROM sources")).all())


def test_a_source_is_stored_with_what_the_server_says_and_its_key_encrypted(
    sources: SourceManager, database: Database, server: DemoServer
) -> None:
    source = sources.add("demo", f"{server.url}/api/v1/", api_key=SecretStr(CANARY))

    assert (source.name, source.url, source.version) == ("demo", server.url, "1.13.0")
    assert source.has_api_key
    assert source.checked_at
    assert CANARY not in f"{source} {asdict(source)} {dump(database)}"
    assert sources.client(source).check_key() == "demo"


@pytest.mark.parametrize("key", [WRONG, None])
def test_a_key_that_the_server_refuses_is_not_stored(
    key: SecretStr | None, sources: SourceManager, server: DemoServer
) -> None:
    with pytest.raises(SourceUnauthorized):
        sources.add("demo", server.url, api_key=key)
    assert sources.list() == []


def test_a_server_that_cannot_be_reached_is_refused(sources: SourceManager, free_port: int) -> None:
    with pytest.raises(SourceUnreachable) as caught:
        sources.add("demo", f"http://127.0.0.1:{free_port}", api_key=SecretStr(CANARY))
    assert caught.value.exit_code == 5
    assert sources.list() == []


def test_a_page_instead_of_langflow_is_refused(sources: SourceManager) -> None:
    with (
        DemoServer(faults={"/api/v1/version": html_page()}) as server,
        pytest.raises(MalformedAnswer),
    ):
        sources.add("demo", server.url, api_key=SecretStr(server.api_key))
    assert sources.list() == []


@pytest.mark.parametrize("name", ["", "a b", "a/b", "-x", "x" * 64, "täglich"])
def test_a_name_is_one_plain_word(name: str, sources: SourceManager, server: DemoServer) -> None:
    with pytest.raises(InvalidInput, match="no name for a source"):
        sources.add(name, server.url, api_key=SecretStr(CANARY))


def test_a_name_is_taken_in_any_case(sources: SourceManager, server: DemoServer) -> None:
    sources.add("Demo", server.url, api_key=SecretStr(CANARY))
    other = sources.add("other", server.url, api_key=SecretStr(CANARY))

    with pytest.raises(Conflict, match="already a source"):
        sources.add("demo", server.url, api_key=SecretStr(CANARY))
    with pytest.raises(Conflict, match="already a source"):
        sources.update(other, name="DEMO")


def test_a_source_is_found_by_name_in_any_case_and_by_the_beginning_of_its_id(
    sources: SourceManager, server: DemoServer
) -> None:
    source = sources.add("Demo", server.url, api_key=SecretStr(CANARY))

    assert sources.get("demo") == sources.get(str(source.id)[:13]) == source
    with pytest.raises(NotFound) as caught:
        sources.get("dmo")
    assert caught.value.hint == "Did you mean 'Demo'?"


def test_a_change_of_name_or_limit_asks_no_server(
    sources: SourceManager, server: DemoServer
) -> None:
    source = sources.add("demo", server.url, api_key=SecretStr(CANARY))
    server.stop()
    changed = sources.update(source, name="prod", max_parallel_runs=3)

    assert (changed.id, changed.name, changed.max_parallel_runs) == (source.id, "prod", 3)
    assert changed.updated_at > source.updated_at


def test_a_rate_can_be_given_changed_and_left_open_again(
    sources: SourceManager, server: DemoServer
) -> None:
    source = sources.add("demo", server.url, api_key=SecretStr(CANARY), max_runs_per_minute=60)
    assert source.max_runs_per_minute == 60

    assert sources.update(source, max_runs_per_minute=6).max_runs_per_minute == 6
    unset = sources.update(source, unset=[SourceOption.MAX_PER_MINUTE])
    assert unset.max_runs_per_minute is None
    with pytest.raises(InvalidInput, match="at least 1 run a minute"):
        sources.update(source, max_runs_per_minute=0)


def test_a_new_key_is_tried_first_and_the_old_one_stays_when_it_is_refused(
    sources: SourceManager, server: DemoServer
) -> None:
    source = sources.add("demo", server.url, api_key=SecretStr(CANARY))

    with pytest.raises(SourceUnauthorized):
        sources.update(source, api_key=WRONG)
    assert sources.client(source).check_key() == "demo"


def test_a_stored_key_is_sent_to_no_other_server(
    sources: SourceManager, server: DemoServer
) -> None:
    source = sources.add("demo", server.url, api_key=SecretStr(CANARY))

    with DemoServer(api_key=CANARY) as moved:
        with pytest.raises(InvalidInput, match="not sent to another server") as caught:
            sources.update(source, url=moved.url)
        assert CANARY not in repr(caught.value)
        assert sources.update(source, url=moved.url, api_key=SecretStr(CANARY)).url == moved.url
        with pytest.raises(SourceUnauthorized):
            sources.update(source, url=server.url, unset=[SourceOption.API_KEY])
        assert sources.get("demo").url == moved.url


def test_a_key_can_be_unset(sources: SourceManager, server: DemoServer) -> None:
    source = sources.add("demo", server.url, api_key=SecretStr(CANARY))

    with pytest.raises(SourceUnauthorized):
        sources.update(source, unset=[SourceOption.API_KEY])
    with pytest.raises(InvalidInput, match="given and unset"):
        sources.update(source, api_key=SecretStr(CANARY), unset=[SourceOption.API_KEY])
    assert sources.get("demo").has_api_key


@pytest.mark.parametrize(
    "other, is_same",
    [
        ("http://HOST/behind", True),
        ("http://host:80", True),
        ("https://host", False),
        ("http://host:7860", False),
        ("http://host.example.com", False),
    ],
)
def test_a_server_is_a_scheme_a_host_and_a_port(other: str, *, is_same: bool) -> None:
    assert same_server("http://host", normalize_source_url(other)) is is_same


def test_a_test_says_version_latency_key_and_number_of_flows(
    sources: SourceManager, server: DemoServer
) -> None:
    check = sources.test(sources.add("demo", server.url, api_key=SecretStr(CANARY)))

    assert (check.version, check.key_valid, check.flows, check.error) == ("1.13.0", True, 4, None)
    assert check.latency
    assert check.latency.total_seconds() < 5


def test_a_test_says_what_is_wrong(sources: SourceManager, server: DemoServer) -> None:
    source = sources.add("demo", server.url, api_key=SecretStr(CANARY))
    server.stop()
    check = sources.test(source)

    assert (check.version, check.key_valid) == (None, None)
    assert isinstance(check.error, SourceUnreachable)


def test_a_key_of_another_host_cannot_be_used(
    sources: SourceManager, server: DemoServer, database: Database, settings: Settings
) -> None:
    source = sources.add("demo", server.url, api_key=SecretStr(CANARY))
    other_key = SecretStr(Fernet.generate_key().decode())
    elsewhere = SourceManager(database, settings.model_copy(update={"secret_key": other_key}))

    with pytest.raises(SecretUnreadable):
        elsewhere.client(source)
    assert isinstance(elsewhere.test(source).error, SecretUnreadable)


def test_a_source_with_flows_is_deleted_only_with_them(
    sources: SourceManager, server: DemoServer, database: Database, settings: Settings
) -> None:
    source = add_source(database, settings, server)
    FlowSync(database, settings).sync()
    flow = FlowManager(database, settings).get("Echo")
    add_task(database, flow)
    add_schedule(database, flow)

    with pytest.raises(Conflict, match="has 4 flows"):
        sources.delete(source)
    baggage = sources.weigh(source)
    assert (baggage.schedules, baggage.tasks, baggage.log_lines) == (1, 1, 1)
    sources.delete(source, with_flows=True)

    with database.transaction() as connection:
        assert connection.scalar(select(func.count()).select_from(SourceRow)) == 0
        assert connection.scalar(select(func.count()).select_from(FlowRow)) == 0
    with pytest.raises(NotFound):
        sources.delete(source)


def test_a_source_is_deleted_while_one_of_its_schedules_fires(
    sources: SourceManager, server: DemoServer, database: Database, settings: Settings
) -> None:
    """Deletion waits for the schedule, and the task of the schedule does not wait for deletion."""
    source = add_source(database, settings, server)
    FlowSync(database, settings).sync(["Echo"])
    flow = FlowManager(database, settings).get("Echo")
    add_schedule(database, flow)

    with ThreadPoolExecutor(1) as person:
        with database.transaction() as beat:
            beat.execute(select(ScheduleRow.id).with_for_update())
            deleting = person.submit(sources.delete, source, with_flows=True)
            assert eventually(lambda: rows(database, WAITS_FOR_A_ROW) == [True], seconds=5)
            add_task(database, flow)
        deleting.result(timeout=10)

    assert sources.list() == []


def test_a_source_is_not_deleted_under_a_running_task(
    sources: SourceManager, server: DemoServer, database: Database, settings: Settings
) -> None:
    source = add_source(database, settings, server)
    FlowSync(database, settings).sync(["Echo"])
    add_task(database, FlowManager(database, settings).get("Echo"), state=TaskState.RUNNING)

    with pytest.raises(Conflict, match="is running"):
        sources.delete(source, with_flows=True)
    assert sources.get("demo").flows == 1


def test_the_default_source_follows_the_settings(
    database: Database, settings: Settings, server: DemoServer
) -> None:
    def configured(url: str | None, key: str | None) -> SourceManager:
        change = {"langflow_api_url": url, "langflow_api_key": SecretStr(key) if key else None}
        return SourceManager(database, settings.model_copy(update=change))

    assert configured(None, CANARY).ensure_default() is None
    made = configured(server.url, CANARY).ensure_default()
    assert made
    assert (made.name, made.url) == ("default", server.url)

    with DemoServer(api_key="sk-second") as second:
        moved = configured(second.url, "sk-second").ensure_default()
        assert moved
        assert (moved.id, moved.url) == (made.id, second.url)
        assert configured(second.url, None).client(moved).check_key() == "demo"

    # A key that nobody has configured for another server stays where it is.
    with pytest.raises(SourceUnauthorized):
        configured(server.url, None).ensure_default()
    # Nothing differs: a server that is down is not even asked.
    assert configured(second.url, "sk-second").ensure_default() == moved
    with pytest.raises(SourceUnreachable):
        configured(second.url, "sk-third").ensure_default()
