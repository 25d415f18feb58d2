"""Attempts that meet bad keys, bad answers, bugs and broken connections."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Connection

from automagik.core.config import Settings
from automagik.core.database.exceptions import DatabaseUnreachable
from automagik.core.database.models import FlowRow, SourceRow
from automagik.core.database.session import Database
from automagik.core.tasks import flow_call, ledger
from automagik.core.tasks.claim import claim_free
from automagik.core.tasks.finish import finish_free
from automagik.core.tasks.outcome import Completed
from automagik.demo.faults import answer
from tests.core.records import put, row, rows, task
from tests.core.tasks.workplace import API_KEY, Site, site_of

T = TypeVar("T")

LOG = "SELECT message FROM task_logs ORDER BY id"


@pytest.fixture
def site(settings: Settings, database: Database) -> Iterator[Site]:
    with site_of(database, settings) as site:
        yield site


def test_a_key_that_cannot_be_decrypted_fails_the_task_for_good(site: Site) -> None:
    created = site.create("Echo")
    other = Fernet(Fernet.generate_key()).encrypt(API_KEY.encode()).decode()
    [source_id] = rows(site.database, "SELECT id FROM sources")
    put(site.database, SourceRow, source_id, api_key_encrypted=other)

    site.run(created.id)

    failed = task(site.database, created.id)
    assert (failed["state"], failed["attempt"]) == ("failed", 1)
    assert failed["error_code"] == "AM-SECRET"
    assert site.server.runs == []


def test_an_input_that_no_longer_fits_the_flow_fails_the_task_for_good(site: Site) -> None:
    created = site.create("Echo", tweaks={"Nobody-1": {"x": 1}})

    site.run(created.id)

    failed = task(site.database, created.id)
    assert (failed["state"], failed["error_code"]) == ("failed", "AM-FLOW-INPUT")
    assert site.server.runs == []


def test_a_bug_ends_the_attempt_at_once_and_with_a_reason(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = site.create("Echo", max_retries=0)
    monkeypatch.setattr(flow_call, "build_run_body", surprise)

    site.run(created.id)

    failed = task(site.database, created.id)
    assert failed["state"] == "failed"
    assert "KeyError: 'surprise'" in failed["error_message"]


def test_nul_in_an_answer_is_stripped_and_the_rest_kept(site: Site) -> None:
    created = site.create("Echo", "unused")
    said = {"component_id": "ChatOutput-echo", "results": {"message": {"text": "a\x00b\ud800"}}}
    body = {"outputs": [{"outputs": [said]}]}
    site.faults["echo"] = answer(200, json.dumps(body))

    site.run(created.id)

    done = task(site.database, created.id)
    assert (done["state"], done["output_text"]) == ("completed", "ab\ufffd")
    [[output]] = [run["outputs"] for run in done["result"]["outputs"]]
    assert output["results"]["message"]["text"] == "ab\ufffd"


@pytest.mark.parametrize("committed", [True, False])
def test_a_result_outlives_a_broken_connection_and_is_written_once(
    site: Site, monkeypatch: pytest.MonkeyPatch, *, committed: bool
) -> None:
    """Whether or not the transaction had been committed when the connection broke."""
    created = site.create("Echo", "hello")
    breaks = BreaksOnce(site.database, committed=committed)
    monkeypatch.setattr(site.ledger, "_database", breaks)
    monkeypatch.setattr(ledger, "DATABASE_PAUSE", timedelta())
    monkeypatch.setattr(ledger, "finish_free", breaks.arming(finish_free))

    report = site.run(created.id)

    assert breaks.broke
    assert isinstance(report.outcome, Completed)
    assert task(site.database, created.id)["state"] == "completed"
    log = rows(site.database, LOG)
    assert [log.count(line) for line in (log[0], log[-1])] == [1, 1]
    assert log[-1] == "completed"


@pytest.mark.parametrize("committed", [True, False])
def test_a_claim_outlives_a_broken_connection_and_uses_one_attempt(
    site: Site, monkeypatch: pytest.MonkeyPatch, *, committed: bool
) -> None:
    """Else the run would wait for the end of its lease, and a flow called once would not be."""
    created = site.create("Echo", "hello")
    breaks = BreaksOnce(site.database, committed=committed)
    monkeypatch.setattr(site.ledger, "_database", breaks)
    monkeypatch.setattr(ledger, "DATABASE_PAUSE", timedelta())
    monkeypatch.setattr(ledger, "claim_free", breaks.arming(claim_free))

    site.run(created.id)

    assert breaks.broke
    done = task(site.database, created.id)
    assert (done["state"], done["attempt"]) == ("completed", 1)
    assert len(site.server.runs) == 1


def test_an_api_key_that_the_source_says_reaches_no_table(site: Site) -> None:
    refused, echoed = site.create("Echo", max_retries=0), site.create("Echo")
    site.faults["echo"] = answer(500, json.dumps({"detail": f"bad key {API_KEY}!"}))
    site.run(refused.id)
    del site.faults["echo"]
    said = {"component_id": "ChatOutput-echo", "results": {"message": {"text": API_KEY}}}
    site.faults["echo"] = answer(200, json.dumps({"outputs": [{"outputs": [said]}]}))
    site.run(echoed.id)

    assert "bad key ***" in task(site.database, refused.id)["error_message"]
    assert task(site.database, echoed.id)["output_text"] == "***"
    for table in ("tasks", "task_attempts", "task_logs", "task_events", "sources"):
        query = f"SELECT count(*) FROM {table} t WHERE t::text LIKE :canary"
        assert rows(site.database, query, canary=f"%{API_KEY}%") == [0], table


def test_a_streamed_api_key_reaches_no_table(site: Site) -> None:
    """The demo flow says its input as messages and as its answer."""
    created = site.create("Echo", API_KEY)

    site.run(created.id)

    assert task(site.database, created.id)["output_text"] == "***"
    assert API_KEY not in str(rows(site.database, "SELECT result::text FROM tasks"))
    assert API_KEY not in str(rows(site.database, LOG))


def test_a_run_names_the_version_it_ran(site: Site) -> None:
    created = site.create("Echo")

    site.run(created.id)

    ran = task(site.database, created.id)
    flow = row(site.database, FlowRow, ran["flow_id"])
    assert ran["flow_version_id"] == flow["version_id"]


def surprise(*_: object, **__: object) -> None:
    raise KeyError("surprise")


class BreaksOnce(Database):
    """A database whose connection breaks once, at the end of the transaction that is armed."""

    def __init__(self, real: Database, *, committed: bool) -> None:
        self._real = real
        self._committed = committed
        self._is_armed = False
        self.broke = False

    def arming(self, step: Callable[..., T]) -> Callable[..., T]:
        """The same step, in whose transaction the connection breaks."""

        def armed(*arguments: Any, **more: Any) -> T:
            self._is_armed = not self.broke
            return step(*arguments, **more)

        return armed

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        with self._real.transaction() as connection:
            yield connection
            self._break(when=not self._committed)
        self._break(when=self._committed)

    def _break(self, *, when: bool) -> None:
        if self._is_armed and when:
            self._is_armed, self.broke = False, True
            raise DatabaseUnreachable
