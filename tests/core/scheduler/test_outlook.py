"""How long a beat sleeps."""

from datetime import timedelta

import pytest

from automagik.core.scheduler.outlook import Outlook

SECOND = timedelta(seconds=1)
LONGEST = 2 * SECOND
BACKLOG = 0.5 * SECOND


@pytest.mark.parametrize(
    ("until_schedule", "until_task", "expected"),
    [
        (None, None, LONGEST),
        (9 * SECOND, 9 * SECOND, LONGEST),
        (SECOND, None, SECOND),
        (None, SECOND, SECOND),
        (SECOND, -SECOND, BACKLOG),
        (0.1 * SECOND, -SECOND, 0.1 * SECOND),
        (-SECOND, -SECOND, timedelta()),
    ],
    ids=[
        "nothing to do",
        "nothing soon",
        "a schedule",
        "a task",
        "a backlog",
        "a schedule before the next look at a backlog",
        "a schedule that became due meanwhile",
    ],
)
def test_a_beat_sleeps_until_the_first_thing_to_do(
    until_schedule: timedelta | None, until_task: timedelta | None, expected: timedelta
) -> None:
    outlook = Outlook(
        until_schedule=until_schedule,
        until_pause_ends=None,
        until_task=until_task,
        until_next_task=None,
        until_lease_ends=None,
        oldest_delivery=None,
        longest_silence=None,
        has_backfill=False,
        has_follow_up=False,
    )

    assert outlook.wait(longest=LONGEST, backlog=BACKLOG) == expected


def test_a_beat_sleeps_no_longer_than_a_pause() -> None:
    outlook = Outlook(
        until_schedule=9 * SECOND,
        until_pause_ends=SECOND,
        until_task=None,
        until_next_task=None,
        until_lease_ends=None,
        oldest_delivery=None,
        longest_silence=None,
        has_backfill=False,
        has_follow_up=False,
    )

    assert outlook.wait(longest=LONGEST, backlog=BACKLOG) == SECOND


def test_a_while_later_all_has_come_nearer_or_is_older() -> None:
    seen = Outlook(
        until_schedule=SECOND,
        until_pause_ends=None,
        until_task=3 * SECOND,
        until_next_task=4 * SECOND,
        until_lease_ends=-SECOND,
        oldest_delivery=SECOND,
        longest_silence=None,
        has_backfill=True,
        has_follow_up=False,
    )

    later = seen.after(SECOND)

    assert later == Outlook(
        until_schedule=timedelta(),
        until_pause_ends=None,
        until_task=2 * SECOND,
        until_next_task=3 * SECOND,
        until_lease_ends=-2 * SECOND,
        oldest_delivery=2 * SECOND,
        longest_silence=None,
        has_backfill=True,
        has_follow_up=False,
        is_foreseen=True,
    )
    assert later.has_due_schedule
    assert not seen.has_due_schedule
