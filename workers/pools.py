"""The pools that a worker may have."""

from typing import Any

from automagik.core.exceptions import ConfigurationError

_SUPPORTED = ("threads", "prefork", "processes", "solo")


class GivesRunsBack:
    """For a pool: without a grace (Celery's cold shutdown) its runs end when it stops.

    With one they may finish: then this comes second, and changes nothing.
    """

    def on_stop(self) -> None:
        from workers.lifecycle import give_runs_back

        give_runs_back()
        super().on_stop()  # type: ignore[misc]


def admitted(pool: Any) -> str:
    """The pool's name. Raises ConfigurationError for one whose runs nobody could break off.

    Deadlines, cancelling and leases are kept by threads. Under gevent and eventlet these would
    stand still with every call that waits for PostgreSQL.

    Args:
        pool: Celery hands over a name, or the pool's class.
    """
    name = pool if isinstance(pool, str) else str(pool.__module__).rpartition(".")[2]
    if name not in _SUPPORTED:
        raise ConfigurationError(
            f"A worker cannot have the pool {name!r}.",
            hint="Start it with -P threads, which is the default, with -P prefork or -P solo.",
        )
    return name


def slots(pool: str, concurrency: int) -> int:
    """How many runs it takes at a time."""
    return 1 if pool == "solo" else concurrency
