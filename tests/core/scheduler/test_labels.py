"""Labels: what they may be, and schedules that are chosen by them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.exceptions import InvalidInput
from automagik.core.flows.values import Flow
from automagik.core.scheduler.labels import (
    UnsetLabel,
    changed_labels,
    in_words,
    parse_labels,
    wanted_labels,
)
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.selection import Selection
from automagik.core.scheduler.unset import unset_options
from automagik.core.scheduler.values import ScheduleChange, ScheduleStatus
from tests.core.records import add_schedules
from tests.core.tasks.rows import add_flow

KEYS = st.from_regex(r"[A-Za-z0-9._/-]{1,63}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=63).map(str.strip)


@pytest.fixture
def manager(database: Database, settings: Settings) -> SchedulerManager:
    return SchedulerManager(database, settings)


@given(labels=st.dictionaries(KEYS, VALUES, max_size=5))
def test_what_is_written_as_key_and_value_is_read_as_such(labels: dict[str, str]) -> None:
    assert parse_labels(f"{key}={value}" for key, value in labels.items()) == labels


def test_a_key_alone_has_an_empty_value_and_asks_for_any() -> None:
    assert parse_labels(["nightly", "team=ops"]) == {"nightly": "", "team": "ops"}
    assert wanted_labels(["nightly", "team="]) == {"nightly": None, "team": ""}
    assert in_words({"team": "ops", "nightly": ""}) == "nightly, team=ops"


@pytest.mark.parametrize(
    "text", ["", "=ops", "two words", "ä=b", "k" * 64, "key=" + "v" * 64, "key=a\tb", "key=a\nb"]
)
def test_other_labels_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_labels([text])


def test_new_labels_join_the_old_and_unset_ones_go_first() -> None:
    old = {"team": "ops", "nightly": ""}

    assert changed_labels(old, {"team": "web", "a": "b"}, []) == old | {"team": "web", "a": "b"}
    assert changed_labels(old, {}, [UnsetLabel(key="team")]) == {"nightly": ""}
    assert changed_labels(old, {"a": ""}, [UnsetLabel(key=None)]) == {"a": ""}
    assert unset_options(["label", "label:team"]) == (UnsetLabel(key=None), UnsetLabel(key="team"))


def test_an_update_changes_labels_and_leaves_them_else(
    database: Database, flow: Flow, manager: SchedulerManager
) -> None:
    [schedule_id] = add_schedules(database, flow, labels={"team": "ops"})

    changed = manager.update(schedule_id, ScheduleChange(labels={"nightly": ""}))
    assert changed.labels == {"team": "ops", "nightly": ""}
    assert manager.update(schedule_id, ScheduleChange(priority=1)).labels == changed.labels
    unset = ScheduleChange(unset=unset_options(["label:team"]))
    assert manager.update(schedule_id, unset).labels == {"nightly": ""}


def test_all_that_a_selection_says_must_be_so(
    database: Database, flow: Flow, manager: SchedulerManager
) -> None:
    other = add_flow(database, "other")
    add_schedules(database, flow, name="a", labels={"team": "ops", "nightly": ""})
    add_schedules(database, flow, name="b", labels={"team": "web"})
    add_schedules(database, other, name="c", labels={"team": "ops"}, status="paused")
    add_schedules(database, other, name="d")

    def names(selection: Selection) -> str:
        return "".join(sorted(found.name for found in manager.list(selection)))

    assert names(Selection()) == "abcd"
    assert names(Selection(labels={"team": "ops"})) == "ac"
    assert names(Selection(labels={"team": None})) == "abc"
    assert names(Selection(labels={"team": "ops", "nightly": None})) == "a"
    assert names(Selection(labels={"nightly": "x"})) == ""
    assert names(Selection(flow_id=other.id)) == names(Selection(source_id=other.source_id)) == "cd"
    assert names(Selection(labels={"team": "ops"}, statuses=[ScheduleStatus.ACTIVE])) == "a"
