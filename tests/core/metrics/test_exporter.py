"""An answer comes whatever is away, and says what is there."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import func, text, update

from automagik.core.config import Settings
from automagik.core.database.models import QueueRow, ScheduleRow, SourceRow
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from automagik.core.metrics import exporter
from automagik.core.metrics.exporter import Exporter
from automagik.core.metrics.families import COUNTED, PRESENT, Kind
from automagik.core.queues import ensure_queue
from automagik.core.tasks.states import TaskState
from tests.core.records import add_schedules, add_task, add_worker, claimed, now, put
from tests.core.tasks.rows import add_beat, add_flow

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Scraper:
    """What Prometheus makes of the answers of one server."""

    def __init__(self, asked: Exporter) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(asked)

    def text(self) -> str:
        return generate_latest(self._registry).decode()

    def __call__(self) -> Samples:
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(self.text())
            for sample in family.samples
        }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"automagik_{name}", tuple(sorted(labels.items()))))


@contextmanager
def serving(settings: Settings, *, flows: int | None = 10) -> Iterator[Scraper]:
    asked = Exporter(settings, flows=flows)
    yield Scraper(asked)
    asked.close()


@pytest.fixture
def scrape(settings: Settings) -> Iterator[Scraper]:
    with serving(settings) as scraper:
        yield scraper


@pytest.fixture
def silent_server() -> Iterator[str]:
    """It accepts connections and says nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_every_family_is_there_with_its_labels_and_no_other(
    database: Database, flow: Flow, scrape: Scraper
) -> None:
    """Something of everything has happened."""
    scrape()
    add_beat(database)
    worker = add_worker(database)
    with database.transaction() as connection:
        connection.execute(text("UPDATE workers SET clock_offset_seconds = 0.1"))
    add_task(database, flow)
    task_id = add_task(database, flow)
    with database.transaction() as connection:
        sent = "UPDATE tasks SET state = 'queued', queued_at = now() WHERE id = :id"
        connection.execute(text(sent), {"id": task_id})
    claimed(database, task_id, worker=worker)
    with database.transaction() as connection:
        connection.execute(
            text(
                "UPDATE tasks SET state = 'failed', finished_at = now(),"
                " lease_expires_at = NULL WHERE state = 'running'"
            )
        )
        connection.execute(text("UPDATE task_attempts SET finished_at = now(), outcome = 'failed'"))

    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(scrape.text()):
        total = "_total" if family.type == "counter" else ""
        labels = {name for sample in family.samples for name in sample.labels} - {"le"}
        found[f"{family.name}{total}"] = labels

    assert found == {each.name: set(each.labels) for each in (*PRESENT, *COUNTED)}


def test_one_look_has_gauges_alone(settings: Settings, flow: Flow) -> None:
    with serving(settings, flows=None) as scrape:
        families = list(text_string_to_metric_families(scrape.text()))

    assert {family.type for family in families} == {"gauge"}
    assert len(families) > 15


def test_what_was_counted_only_grows_and_is_told_again(
    database: Database, flow: Flow, scrape: Scraper
) -> None:
    labels = {"source": flow.source_name, "flow": flow.name, "trigger": "manual"}
    assert value(scrape(), "tasks_created_total", **labels) == 0
    add_task(database, flow)
    assert value(scrape(), "tasks_created_total", **labels) == 1
    assert value(scrape(), "tasks_created_total", **labels) == 1


def test_each_server_counts_by_itself(
    settings: Settings, database: Database, flow: Flow, scrape: Scraper
) -> None:
    labels = {"from_state": "", "to_state": "pending"}
    scrape()
    add_task(database, flow)
    with serving(settings) as other:
        other()
        add_task(database, flow)
        assert value(other(), "task_transitions_total", **labels) == 1
    assert value(scrape(), "task_transitions_total", **labels) == 2


def test_no_inputs_addresses_or_keys_are_told(
    settings: Settings, database: Database, flow: Flow, scrape: Scraper
) -> None:
    scrape()
    with database.transaction() as connection:
        columns = {"url": "http://s3cret@10.1.2.3", "api_key_encrypted": "s3cret"}
        connection.execute(update(SourceRow).values(**columns, breaker_reason="s3cret"))
    add_task(database, flow, input_value="s3cret", state_reason="s3cret")

    told = scrape.text()

    assert "greeter" in told
    assert "s3cret" not in told
    for url in (settings.database_url, settings.redis_url):
        assert url is not None
        assert url.get_secret_value() not in told


def test_names_cannot_break_the_format(database: Database, scrape: Scraper) -> None:
    evil = 'a"b\\c\nd\x1b[31m' + "x" * 500
    add_flow(database, evil)

    created = [dict(labels)["flow"] for name, labels in scrape() if "created_total" in name]

    assert len(set(created)) == 1
    assert created[0].startswith('a"b\\c\N{REPLACEMENT CHARACTER}d\N{REPLACEMENT CHARACTER}[31mxxx')
    assert len(created[0]) == 200


class TestWhatIsSo:
    def test_tasks_by_state_and_what_is_due_by_queue(
        self, database: Database, flow: Flow, scrape: Scraper
    ) -> None:
        for late in (5, 40):
            add_task(database, flow, run_at=now(database) - timedelta(seconds=late))
        add_task(database, flow, run_at=now(database) + timedelta(hours=1))
        add_task(database, flow, queue="gpu", run_at=now(database) - timedelta(seconds=90))
        claimed(database, add_task(database, flow))
        add_worker(database, slots=7)

        found = scrape()

        assert value(found, "tasks", state="pending") == 4
        assert value(found, "tasks", state="running") == 1
        due = {"source": flow.source_name}
        assert value(found, "tasks_due", queue="automagik", **due) == 2
        assert value(found, "tasks_due", queue="gpu", **due) == 1
        assert 40 <= (value(found, "task_oldest_pending_seconds", queue="automagik") or 0) < 80
        assert (value(found, "task_oldest_pending_seconds", queue="gpu") or 0) >= 90
        assert value(found, "queue_workers", queue="automagik") == 1
        assert value(found, "queue_slots", queue="automagik") == 7
        assert value(found, "queue_running", queue="automagik") == 1
        assert value(found, "queue_workers", queue="gpu") == 0
        assert value(found, "queue_running", queue="gpu") == 0
        assert value(found, "worker_slots", state="free") == 7

    def test_what_was_sent_and_never_started_is_pending_too(
        self, database: Database, flow: Flow, scrape: Scraper
    ) -> None:
        due = now(database) - timedelta(seconds=70)
        add_task(database, flow, state=TaskState.QUEUED, run_at=due)

        assert (value(scrape(), "task_oldest_pending_seconds", queue="automagik") or 0) >= 70

    @pytest.mark.parametrize("by", ["disabled_at", "breaker_opened_at", "queue"])
    def test_what_waits_because_it_must_has_no_age(
        self, database: Database, flow: Flow, scrape: Scraper, by: str
    ) -> None:
        add_task(database, flow, run_at=now(database) - timedelta(seconds=90))
        with database.transaction() as connection:
            ensure_queue(connection, "automagik")
            if by == "queue":
                connection.execute(update(QueueRow).values(paused_at=func.now()))
            else:
                columns = {by: func.now()}
                if by == "breaker_opened_at":
                    columns["breaker_probe_at"] = func.now()
                connection.execute(update(SourceRow).values(**columns))

        found = scrape()

        assert value(found, "task_oldest_pending_seconds", queue="automagik") == 0
        assert value(found, "tasks_due", queue="automagik", source=flow.source_name) == 1
        assert value(found, "queue_paused", queue="automagik") == (by == "queue")
        told = "source_disabled", "source_breaker_open"
        down = [value(found, name, source=flow.source_name) for name in told]
        assert down == [by == "disabled_at", by == "breaker_opened_at"]

    def test_beats_schedules_and_workers(
        self, database: Database, flow: Flow, scrape: Scraper
    ) -> None:
        before = scrape()
        assert value(before, "beat_last_tick_timestamp_seconds") is None
        assert (value(before, "beats"), value(before, "schedule_overdue_seconds")) == (0, 0)
        add_beat(database)
        worker = add_worker(database)
        with database.transaction() as connection:
            old = "UPDATE workers SET heartbeat_at = now() - interval '10 minutes'"
            connection.execute(text(old))
        [_, broken] = add_schedules(database, flow, 2, late=timedelta(seconds=50))
        put(database, ScheduleRow, broken, status="error")

        found = scrape()

        assert worker
        assert value(found, "beats") == 1
        ticked = value(found, "beat_last_tick_timestamp_seconds") or 0
        assert 0 <= (value(found, "database_timestamp_seconds") or 0) - ticked < 20
        assert (value(found, "schedule_overdue_seconds") or 0) >= 50
        assert value(found, "schedules", status="active") == 1
        assert value(found, "schedules", status="error") == 1
        assert value(found, "workers", state="silent") == 1
        assert value(found, "workers", state="online") == 0


class TestAway:
    def test_a_server_that_refuses_is_not_up(self, settings: Settings, free_port: int) -> None:
        nowhere = SecretStr(f"postgresql://nobody:s3cret@127.0.0.1:{free_port}/x")
        with serving(settings.model_copy(update={"database_url": nowhere})) as scrape:
            found, told = scrape(), scrape.text()

        assert (value(found, "up"), value(found, "redis_up")) == (0, 1)
        assert value(found, "tasks", state="pending") is None
        assert "s3cret" not in told

    def test_a_server_that_says_nothing_is_not_waited_for(
        self, settings: Settings, silent_server: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(exporter, "DEADLINE", timedelta(seconds=0.2))
        monkeypatch.setattr(
            "automagik.core.database.patience.CONNECT_PATIENCE", timedelta(seconds=1)
        )
        silent = SecretStr(f"postgresql://nobody@{silent_server}/x")
        with serving(settings.model_copy(update={"database_url": silent})) as scrape:
            assert value(scrape(), "up") == 0

    def test_a_schema_of_another_version_is_not_up(
        self, database: Database, scrape: Scraper
    ) -> None:
        with database.transaction() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

        assert value(scrape(), "up") == 0

    def test_without_redis_the_rest_is_told(self, settings: Settings, free_port: int) -> None:
        nowhere = SecretStr(f"redis://127.0.0.1:{free_port}/0")
        with serving(settings.model_copy(update={"redis_url": nowhere})) as scrape:
            found = scrape()

        assert (value(found, "up"), value(found, "redis_up")) == (1, 0)
        assert value(found, "queue_deliveries", queue="automagik") is None
        assert value(found, "tasks", state="pending") == 0

    def test_counters_stand_still_and_go_on(
        self, database: Database, flow: Flow, scrape: Scraper
    ) -> None:
        labels = {"from_state": "", "to_state": "pending"}
        scrape()
        add_task(database, flow)
        scrape()
        with database.transaction() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9' || version_num"))
        add_task(database, flow)
        away = scrape()
        with database.transaction() as connection:
            connection.execute(
                text("UPDATE alembic_version SET version_num = right(version_num, 4)")
            )

        assert value(away, "up") == 0
        assert value(away, "task_transitions_total", **labels) == 1
        assert value(scrape(), "task_transitions_total", **labels) == 2

    def test_it_can_change_nothing(self, database: Database) -> None:
        with database.transaction() as connection, exporter._impatient(connection):
            assert connection.scalar(text("SHOW transaction_read_only")) == "on"
            assert connection.scalar(text("SHOW transaction_isolation")) == "repeatable read"
            assert connection.scalar(text("SHOW statement_timeout")) == "4s"


def test_kinds_and_names_go_together() -> None:
    for family in (*PRESENT, *COUNTED):
        assert family.name.startswith("automagik_")
        assert family.name.endswith("_total") == (family.kind is Kind.COUNTER)
        assert bool(family.buckets) == (family.kind is Kind.HISTOGRAM)
        assert family.meaning.endswith(".")
