"""Failed tasks by cause: what counts as the same, and what is counted."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from automagik.core.database.models import TaskRow
from automagik.core.database.session import Database
from automagik.core.tasks.causes import cause, fingerprint
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.states import TaskState
from tests.core.records import add_task, now, put
from tests.core.tasks.rows import add_flow

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    "one, other",
    [
        ("No city 12 in 3.5 s", "No city 7 in 12 s"),
        (f"Task {UUID(int=1)} is gone", f"Task {UUID(int=2**127 + 9)} is gone"),
        ("Call to http://a/x?k=1 failed", "Call to https://b:7/y failed"),
        ("Cannot open /var/lib/x.txt", "Cannot open /tmp/a/b.json"),
        ("No component 'Prompt-a1'", 'No component "Chat-b2"'),
        ("late at 2026-11-21T09:00:00Z", "late at 2025-01-01 10:00:00+01:00"),
        ("object at 0x7f00dead", "object at 0x1"),
        ("two\n  lines", "two lines"),
    ],
)
def test_what_differs_from_run_to_run_does_not_count(one: str, other: str) -> None:
    assert cause(one) == cause(other)
    assert fingerprint("AM-X", one) == fingerprint("AM-X", other)


@pytest.mark.parametrize(
    "one, other",
    [
        (("AM-X", "No city"), ("AM-Y", "No city")),
        (("AM-X", "No city"), ("AM-X", "No river")),
        (("AM-X", "the feedback failed"), ("AM-X", "the defaced failed")),
        (("AM-X", None), (None, None)),
    ],
)
def test_other_codes_and_other_words_are_other_causes(
    one: tuple[str | None, str | None], other: tuple[str | None, str | None]
) -> None:
    assert fingerprint(*one) != fingerprint(*other)


@given(st.text() | st.from_regex(r"[0-9a-fx /:.'\"-]{1,60}"))
@example("0x1f and 9x1f")
def test_a_cause_does_not_depend_on_which_digits_there_are(message: str) -> None:
    """But for 0: messages that differ in their digits alone are grouped where they are stored."""
    assert cause(message.translate(str.maketrans("23456789", "1" * 8))) == cause(message)


@given(st.text(max_size=5_000))
def test_any_message_has_a_bounded_cause(message: str) -> None:
    assert len(cause(message)) <= 300
    assert len(fingerprint(None, message)) == 8


def test_they_are_grouped_counted_and_ordered(database: Database, tasks: TaskManager) -> None:
    flows = [add_flow(database, "a"), add_flow(database, "b")]
    failed = [
        add_task(
            database,
            flows[number % 2],
            state=TaskState.FAILED,
            error_code="AM-TIME",
            error_message=f"took {number} s",
        )
        for number in range(3)
    ]
    alone = add_task(database, flows[0], state=TaskState.FAILED, error_code="AM-OTHER")
    add_task(database, flows[0], state=TaskState.COMPLETED, result={})
    put(database, TaskRow, failed[0], finished_at=now(database) - DAY / 2)

    often, rare = tasks.failures(age=DAY)

    assert (often.tasks, often.flows, often.cause) == (3, ["a", "b"], "took <n> s")
    assert often.last_at - often.first_at > DAY / 3
    assert often.last_task_id == failed[2]
    assert (rare.tasks, rare.last_task_id) == (1, alone)


def test_older_ones_are_left_out(database: Database, tasks: TaskManager) -> None:
    old = add_task(database, add_flow(database), state=TaskState.FAILED)
    put(database, TaskRow, old, finished_at=now(database) - 2 * DAY)

    assert tasks.failures(age=DAY) == []
