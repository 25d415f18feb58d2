"""Beats ask for free places, workers tell."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from automagik.core.config import Settings
from automagik.core.database.session import TO_WORKERS, WAKE, Database, notify
from automagik.core.flows.values import Flow
from automagik.core.tasks import full_sources as full_sources_module
from automagik.core.tasks.full_sources import FullSources, ask_for_places
from tests.core.records import add_task, claimed, limit_source
from tests.core.tasks.rows import add_flow
from tests.core.tasks.workplace import site_of

SECOND = timedelta(seconds=1)


@pytest.fixture
def flow(database: Database) -> Flow:
    """Of a source with one place."""
    flow = add_flow(database)
    limit_source(database, flow, 1)
    return flow


def asked(database: Database, *, but: Sequence[UUID] = ()) -> tuple[Mapping[UUID, bool], list[str]]:
    """The answer, and what workers hear."""
    with database.listen(TO_WORKERS) as listener:
        with database.transaction() as connection:
            answer = ask_for_places(connection, but=but)
            notify(connection, TO_WORKERS, "the end")
        *heard, end = listener.wait(timedelta(seconds=5))
        assert end == "the end"
        return answer, heard


def test_workers_hear_of_a_full_source_whose_tasks_are_due(database: Database, flow: Flow) -> None:
    claimed(database, add_task(database, flow))
    assert asked(database) == ({}, []), "nothing waits"

    add_task(database, flow)
    answer, heard = asked(database)
    full_sources = FullSources()
    full_sources.hear(heard)

    assert answer == {flow.source_id: True}
    assert flow.source_id in full_sources
    assert asked(database, but=[flow.source_id]) == (answer, []), "nobody is asked again"


def test_nothing_is_heard_of_a_source_with_a_free_place(database: Database, flow: Flow) -> None:
    claimed(database, add_task(database, flow))
    add_task(database, flow)
    another = add_flow(database, "another")
    add_task(database, another)

    answer, heard = asked(database)

    assert answer == {flow.source_id: True, another.source_id: False}
    assert heard == [f"full:{flow.source_id}"]


def test_a_worker_forgets_what_it_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    source_id = uuid4()
    full_sources = FullSources()
    full_sources.hear([f"full:{source_id}"])
    assert source_id in full_sources

    monkeypatch.setattr(full_sources_module, "REMEMBERED", timedelta())
    full_sources.hear([f"full:{source_id}"])
    assert source_id not in full_sources


def test_other_words_on_the_channel_are_passed_by() -> None:
    source_id = uuid4()
    full_sources = FullSources()
    full_sources.hear([str(source_id), "full:of nonsense", ""])

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
