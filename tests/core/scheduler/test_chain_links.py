"""No chain starts itself: against all walks of a small reference."""

from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from automagik.core.scheduler.chain_links import Link, circle

COUNT, FLOWS = 5, 3


@st.composite
def all_links(draw: st.DrawFn) -> list[Link]:
    """Five schedules of three flows, some of which follow a schedule or a flow."""
    follows = st.none() | st.tuples(st.just("schedule"), st.integers(0, COUNT - 1))
    follows |= st.tuples(st.just("flow"), st.integers(0, FLOWS - 1))
    return [link(number, draw(st.integers(0, FLOWS - 1)), draw(follows)) for number in range(COUNT)]


def link(number: int, flow: int, follows: tuple[str, int] | None) -> Link:
    kind, target = follows or (None, 0)
    return Link(
        id=UUID(int=number),
        name=f"s{number}",
        flow_id=UUID(int=100 + flow),
        flow=f"f{flow}",
        after_schedule_id=UUID(int=target) if kind == "schedule" else None,
        after_flow_id=UUID(int=100 + target) if kind == "flow" else None,
    )


def started_by(links: list[Link], first: Link) -> set[UUID]:
    """What its runs start in any number of steps: pairs are added until nothing is new."""
    pairs = {
        (a.id, b.id)
        for a in links
        for b in links
        if b.after_schedule_id == a.id or b.after_flow_id == a.flow_id
    }
    while True:
        more = {(a, d) for a, b in pairs for c, d in pairs if b == c} - pairs
        if not more:
            return {b for a, b in pairs if a == first.id}
        pairs |= more


@given(links=all_links())
def test_a_circle_is_found_exactly_where_there_is_one(links: list[Link]) -> None:
    by_name = {each.name: each for each in links}
    for start in links:
        way = circle(links, start)

        assert bool(way) == (start.id in started_by(links, start))
        if not way:
            continue
        assert way[0] == way[-1] == start.name
        schedules = [by_name[step] for step in way if step in by_name]
        flows = [step for step in way if step not in by_name]
        assert len(schedules) + len(flows) == len(way)
        for before, after in pairwise(schedules):
            is_direct = after.after_schedule_id == before.id
            is_by_flow = after.after_flow_id == before.flow_id and f"flow {before.flow}" in flows
            assert is_direct or is_by_flow


def test_the_way_names_each_step() -> None:
    a, b, c = link(0, 0, ("flow", 2)), link(1, 1, ("schedule", 0)), link(2, 2, ("schedule", 1))

    assert circle([a, b, c], a) == ("s0", "s1", "s2", "flow f2", "s0")
    assert circle([link(0, 0, ("flow", 0))], link(0, 0, ("flow", 0))) == ("s0", "flow f0", "s0")
    assert circle([b, c], b) == ()
