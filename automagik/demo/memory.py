"""Counts that outlive a run."""

from collections import OrderedDict
from threading import Lock

LIMIT = 10_000


class Counters:
    """Counts by key. Beyond the limit the key that was counted longest ago is forgotten."""

    def __init__(self, *, limit: int = LIMIT) -> None:
        self._limit = limit
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._lock = Lock()

    def increment(self, key: str) -> int:
        with self._lock:
            count = self._counts.pop(key, 0) + 1
            self._counts[key] = count
            if len(self._counts) > self._limit:
                self._counts.popitem(last=False)
            return count
