"""Steps of a backfill against a plain reference: what each comes to, and all of them together."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automagik.core.scheduler import backfill_range
from automagik.core.scheduler.backfill_range import Step, Stretch, between, reaching_back, step
from automagik.core.scheduler.cadence import load_cadence
from automagik.core.scheduler.rule import Rule
from tests.core.scheduler.reference import Listed

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
LOOKS, AT_A_TIME = 5, 3

INSTANTS = st.lists(st.integers(1, 9), max_size=25).map(
    lambda gaps: [BEGIN + gap * SECOND for gap in accumulate(gaps)]
)


@pytest.fixture(autouse=True, scope="module")
def _few_at_a_time() -> Iterator[None]:
    """So that a range takes several transactions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backfill_range, "LOOKS", LOOKS)
        patch.setattr(backfill_range, "AT_A_TIME", AT_A_TIME)
        yield


def steps(
    instants: Sequence[datetime],
    tasks: Sequence[datetime],
    rooms: Sequence[tuple[int, bool]],
) -> Iterator[Step]:
    """One after the other, with the room and the skipping of each, until it is through."""
    known, begin, end = sorted(tasks), BEGIN, instants[-1] + SECOND
    for room, is_skipping in rooms:
        place = bisect_left(known, begin)
        stretch = Stretch(
            begin=begin,
            end=end,
            with_task=known[place : place + LOOKS],
            is_skipping=is_skipping,
        )
        taken = step(Listed(instants=list(instants)), stretch, room=room)
        yield taken
        known = sorted({*known, *taken.runs})
        begin = taken.told_until
        if taken.is_through:
            return


@given(
    INSTANTS.filter(bool),
    st.data(),
    st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=40),
)
def test_each_occurrence_has_one_turn_whatever_the_room_is(
    instants: list[datetime], data: st.DataObject, rooms: list[tuple[int, bool]]
) -> None:
    at = st.sampled_from([BEGIN + number * SECOND for number in range(200)])
    tasks = data.draw(st.lists(at, unique=True, max_size=40))
    free = [*rooms, *[(1, False)] * 90]

    taken = list(steps(instants, tasks, free))

    turns = [turn for each in taken for turn in each.turns]
    assert [at for at, _ in turns] == instants
    runs = [at for each in taken for at in each.runs]
    skipped = [at for each in taken for row in each.skipped for at in row]
    assert sorted([*runs, *skipped]) == [at for at in instants if at not in tasks]
    for (room, is_skipping), each in zip(free, taken, strict=False):
        assert len(each.runs) <= (0 if is_skipping else min(room, AT_A_TIME))
        assert len(each.turns) <= LOOKS
        assert is_skipping or not each.skipped
        assert sum(map(len, each.skipped)) <= min(room, AT_A_TIME)
        assert not (is_skipping and each.has_more) or len(each.turns) == LOOKS or not each.skipped
    assert taken[-1].is_through


@given(INSTANTS.filter(bool), st.integers(0, 12), st.integers(0, 60))
def test_while_a_step_says_that_there_is_more_the_next_comes_further(
    instants: list[datetime], room: int, with_task: int
) -> None:
    """Whoever stops where there is no more has used all the room."""
    tasks, begin, made = instants[:with_task], BEGIN, 0
    has_more = True
    while has_more:
        place = bisect_left(tasks, begin)
        stretch = Stretch(
            begin=begin, end=instants[-1] + SECOND, with_task=tasks[place : place + LOOKS]
        )
        taken = step(Listed(instants=instants), stretch, room=room - made)
        assert taken.told_until > begin or not taken.has_more or made == room
        tasks, begin, has_more = sorted([*tasks, *taken.runs]), taken.told_until, taken.has_more
        made += len(taken.runs)

    assert made == min(room, max(0, len(instants) - with_task))


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=8),
    st.sets(st.integers(0, 300), max_size=250),
)
def test_a_dense_history_of_a_former_rule_is_passed_at_once(
    gaps: list[int], history: set[int]
) -> None:
    instants = [BEGIN + gap * SECOND for gap in accumulate(gaps)]
    tasks = [BEGIN + second * SECOND for second in range(300) if second not in history]

    taken = list(steps(instants, tasks, [(1, False)] * (2 * len(instants) + 2)))

    assert taken[-1].is_through
    assert [at for each in taken for at, _ in each.turns] == instants
    ends = [BEGIN, *(each.told_until for each in taken)]
    assert all(before < after for before, after in pairwise(ends))


def test_an_interval_has_the_same_beat_before_its_anchor() -> None:
    anchor = BEGIN + timedelta(days=3, minutes=7)
    rule = Rule(cadences=(load_cadence("interval", "1h", timezone="UTC", anchor=anchor),))

    for begin in (BEGIN, BEGIN + timedelta(minutes=7), anchor - SECOND, anchor, anchor + HOUR):
        found = list(between(reaching_back(rule, begin), begin, begin + 3 * HOUR))

        assert len(found) == 3
        assert all((at - anchor) % HOUR == timedelta() for at in found)
        assert found[0] - begin < HOUR
