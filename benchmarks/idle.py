"""What an idle beat and an idle worker cost: a million schedules that are all hours away.

    uv run python -m benchmarks.idle [--schedules 1000000] [--seconds 60]

When they have settled, counts their processor time and every row that is written.
"""

import argparse
import time
from collections.abc import Iterator, Mapping

from sqlalchemy import text

from benchmarks.beat_systems import OurBeats
from benchmarks.groups import hours_away
from benchmarks.report import Figure, report
from benchmarks.spending import Spending
from benchmarks.stack import Stack, rss_mb

_SETTLE_SECONDS = 10
# PostgreSQL publishes its counters with a delay.
_COUNTERS_SECONDS = 1.0
_HEARTBEATS = {"beats", "workers"}
_WRITTEN = text("""
SELECT relname, n_tup_ins + n_tup_upd + n_tup_del AS written FROM pg_stat_user_tables
""")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    with Stack() as stack:
        system = OurBeats(stack)
        system.fill(hours_away(arguments.schedules))
        system.settle()
        with stack.worker() as worker, system.running() as [beat]:
            time.sleep(_SETTLE_SECONDS)
            found = list(measure(stack, arguments.seconds, beat=beat, worker=worker))
    report("idle", found, setting=vars(arguments))


def measure(stack: Stack, seconds: float, *, beat: int, worker: int) -> Iterator[Figure]:
    spending, written = Spending(stack, beat=[beat], worker=[worker]), rows_written(stack)
    time.sleep(seconds + _COUNTERS_SECONDS)
    for name, cores in spending.cores().items():
        yield Figure(
            what=f"processor time of {name}",
            unit="% of a core",
            ours=100 * cores,
            most=0.5 if name == "beat" else None,
        )
    yield Figure(what="memory of beat", unit="MB", ours=rss_mb(beat), most=90)
    yield Figure(what="memory of worker", unit="MB", ours=rss_mb(worker))
    since = {table: count - written[table] for table, count in rows_written(stack).items()}
    heartbeats = sum(count for table, count in since.items() if table in _HEARTBEATS)
    minutes = (seconds + _COUNTERS_SECONDS) / 60
    yield Figure(what="heartbeats written", unit="1/min", ours=heartbeats / minutes)
    yield Figure(
        what="other rows written",
        unit="1/min",
        ours=(sum(since.values()) - heartbeats) / minutes,
        most=0,
    )


def rows_written(stack: Stack) -> Mapping[str, int]:
    """By table, since it was made."""
    with stack.database.transaction() as connection:
        return {row.relname: row.written for row in connection.execute(_WRITTEN)}


if __name__ == "__main__":
    main()
