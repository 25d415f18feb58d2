"""APScheduler 3 with its jobs in PostgreSQL, each of which publishes a message of Celery's.

    python beat_apscheduler.py fill < LINES    each with name, due instant, rule and zone, by tabs
    python beat_apscheduler.py run

No run is too late for it: by default it drops what is a second late.
"""

import io
import os
import pickle
import signal
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger
from celery import Celery

URL = os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg2:", 1)
CHUNK = 10_000

app = Celery("beat_apscheduler", broker=os.environ["REDIS_URL"])


def publish(due: float) -> None:
    app.send_task("peer.run", args=[due])


def fill(lines: Iterable[str]) -> None:
    """The rows of `add_job`, by COPY."""
    store = SQLAlchemyJobStore(URL)
    store.jobs_t.create(store.engine, checkfirst=True)
    rows = map(row, lines, sample())
    raw = store.engine.raw_connection()
    while chunk := "".join(islice(rows, CHUNK)):
        raw.cursor().copy_expert("COPY apscheduler_jobs FROM STDIN", io.StringIO(chunk))
    raw.commit()
    raw.close()


def row(line: str, state: dict[str, Any]) -> str:
    name, due, rule, zone = line.rstrip("\n").split("\t")
    instant = datetime.fromtimestamp(float(due), UTC)
    job = state | {
        "id": name,
        "args": (float(due),),
        "trigger": trigger(instant, rule, zone),
        "next_run_time": instant,
    }
    return f"{name}\t{due}\t\\\\x{pickle.dumps(job, pickle.HIGHEST_PROTOCOL).hex()}\n"


def trigger(instant: datetime, rule: str, zone: str) -> IntervalTrigger | CronTrigger:
    if rule.isdigit():
        return IntervalTrigger(seconds=int(rule), start_date=instant, timezone=UTC)
    return CronTrigger.from_crontab(rule, timezone=zone)


def sample() -> Iterator[dict[str, Any]]:
    """What the state of a job consists of, again and again."""
    scheduler = BackgroundScheduler(timezone=UTC)
    scheduler.start(paused=True)
    job = scheduler.add_job("__main__:publish", "date", args=[0.0], misfire_grace_time=None)
    state: dict[str, Any] = job.__getstate__()
    scheduler.shutdown()
    while True:
        yield state


def run() -> None:
    scheduler = BlockingScheduler(timezone=UTC)
    scheduler.add_jobstore(SQLAlchemyJobStore(URL))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    scheduler.start()


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        fill(sys.stdin)
    else:
        run()
