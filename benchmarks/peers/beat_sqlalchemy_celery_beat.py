"""sqlalchemy-celery-beat with its tables in PostgreSQL.

python beat_sqlalchemy_celery_beat.py fill < LINES    name, due instant, rule and zone, by tabs
python beat_sqlalchemy_celery_beat.py run
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from celery import Celery
from sqlalchemy import insert
from sqlalchemy.orm import Session
from sqlalchemy_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask
from sqlalchemy_celery_beat.session import SessionManager

URL = os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg2:", 1)
CHUNK = 5_000

app = Celery("beat_sqlalchemy_celery_beat", broker=os.environ["REDIS_URL"])
app.conf.update(
    beat_scheduler="sqlalchemy_celery_beat.schedulers:DatabaseScheduler",
    beat_dburi=URL,
    result_expires=None,
)


def fill(lines: Iterable[str]) -> None:
    manager = SessionManager()
    engine, sessions = manager.create_session(URL)
    manager.prepare_models(engine)
    with sessions() as session:
        rows = tasks(session, lines)
        while chunk := list(islice(rows, CHUNK)):
            session.execute(insert(PeriodicTask), chunk)
        session.commit()


def tasks(session: Session, lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Each ran last one period before it is due."""
    known: dict[tuple[str, str], IntervalSchedule | CrontabSchedule] = {}
    for line in lines:
        name, due, rule, zone = line.rstrip("\n").split("\t")
        if (rule, zone) not in known:
            known[rule, zone] = when(rule, zone)
            session.add(known[rule, zone])
            session.flush()
        every = timedelta(seconds=int(rule)) if rule.isdigit() else timedelta(days=1)
        yield {
            "name": name,
            "task": "peer.run",
            "args": json.dumps([float(due)]),
            "last_run_at": datetime.fromtimestamp(float(due), UTC) - every,
            "schedule_id": known[rule, zone].id,
            "discriminator": known[rule, zone].discriminator,
        }


def when(rule: str, zone: str) -> IntervalSchedule | CrontabSchedule:
    if rule.isdigit():
        return IntervalSchedule(every=int(rule), period="seconds")
    minute, hour, *_ = rule.split()
    return CrontabSchedule(minute=minute, hour=hour, timezone=zone)


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        fill(sys.stdin)
    else:
        app.start(["beat", "--loglevel", "WARNING", "--pidfile", ""])
