"""Who starts whom, and whether a chain would start itself. Pure."""

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A chain. Its runs are runs of it and of its flow, and start what follows either."""

    id: UUID
    name: str
    flow_id: UUID
    flow: str
    after_schedule_id: UUID | None
    after_flow_id: UUID | None


def circle(links: Sequence[Link], start: Link) -> Sequence[str]:
    """How `start`, one of the links, comes to start itself: `a`, `flow Echo`, `b`, `a`.

    Empty when it does not. The shortest way is told.
    """
    followers = _Followers(links)
    ways: dict[UUID, tuple[str, ...]] = {}
    waiting: deque[tuple[Link, tuple[str, ...]]] = deque([(start, (start.name,))])
    while waiting:
        link, way = waiting.popleft()
        for follower, steps in followers.of(link):
            if follower.id == start.id:
                return (*way, *steps)
            if follower.id not in ways:
                ways[follower.id] = (*way, *steps)
                waiting.append((follower, ways[follower.id]))
    return ()


class _Followers:
    """By what they follow."""

    def __init__(self, links: Sequence[Link]) -> None:
        self._by_schedule: defaultdict[UUID, list[Link]] = defaultdict(list)
        self._by_flow: defaultdict[UUID, list[Link]] = defaultdict(list)
        for link in links:
            if link.after_schedule_id is not None:
                self._by_schedule[link.after_schedule_id].append(link)
            if link.after_flow_id is not None:
                self._by_flow[link.after_flow_id].append(link)

    def of(self, link: Link) -> Iterator[tuple[Link, tuple[str, ...]]]:
        """Each with the steps that lead to it."""
        for follower in self._by_schedule[link.id]:
            yield follower, (follower.name,)
        for follower in self._by_flow[link.flow_id]:
            yield follower, (f"flow {link.flow}", follower.name)
