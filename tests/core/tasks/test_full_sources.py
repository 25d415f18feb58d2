"""Beats ask for free places, workers tell."""

from datetime import timedelta
from uuid import uuid4

import pytest

from automagik.core.config import Settings
from automagik.core.database.session import TO_WORKERS, WAKE, Database
from automagik.core.flows.values import Flow
from automagik.core.tasks import full_sources as full_sources_module
from automagik.core.tasks.full_sources import FullSources, ask_for_places
from tests.core.records import add_task, claimed, limit_source, now
from tests.core.tasks.rows import add_flow
from tests.core.tasks.workplace import site_of

SECOND = timedelta(seconds=1)


@pytest.fixture
def flow(database: Database) -> Flow:
    """Of a source with one place."""
    flow = add_flow(database)
    limit_source(database, flow, 1)
    return flow


def asked(database: Database) -> tuple[timedelta | None, list[str]]:
    """The answer, and what workers hear."""
    with database.listen(TO_WORKERS) as listener:
        with database.transaction() as connection:
            answer = ask_for_places(connection, longest=SECOND)
        return answer, listener.wait(timedelta())


def test_workers_hear_of_a_full_source_whose_tasks_are_due(database: Database, flow: Flow) -> None:
    claimed(database, add_task(database, flow))
    assert asked(database) == (None, []), "nothing waits"

    add_task(database, flow)
    until_next, heard = asked(database)
    full_sources = FullSources()
    full_sources.hear(heard)

    assert until_next == SECOND
    assert flow.source_id in full_sources


def test_what_waits_for_another_reason_is_not_told_of(database: Database, flow: Flow) -> None:
    claimed(database, add_task(database, flow))
    add_task(database, flow)
    add_task(database, add_flow(database, "another"))

    until_next, heard = asked(database)

    assert until_next is None
    assert len(heard) == 1


def test_a_task_that_is_due_soon_ends_the_time_without_others(
    database: Database, flow: Flow
) -> None:
    claimed(database, add_task(database, flow))
    add_task(database, flow)
    add_task(database, flow, run_at=now(database) + SECOND / 2)

    until_next, _ = asked(database)

    assert until_next is not None
    assert until_next <= SECOND / 2


def test_a_worker_forgets_what_it_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full_sources_module, "REMEMBERED", timedelta())
    source_id = uuid4()
    full_sources = FullSources()
    full_sources.hear([f"full:{source_id}", str(uuid4())])

    assert source_id not in full_sources


def test_the_end_of_a_run_of_a_full_source_wakes_the_beats(
    database: Database, settings: Settings
) -> None:
    with site_of(database, settings) as site, database.listen(WAKE) as beats:
        first, second = site.create("Echo"), site.create("Echo")
        beats.wait(timedelta())
        site.run(first.id)
        assert beats.wait(timedelta()) == []
        site.heartbeat.full_sources.hear([f"full:{second.source_id}"])
        site.run(second.id)
        assert beats.wait(SECOND) == [""]
