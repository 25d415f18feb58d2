"""Celery's own beat: schedules are in the configuration, their last runs in a shelve file.

    python beat_celery.py fill < LINES    each with name, due instant, rule and zone, by tabs
    python beat_celery.py run

Its cron rules are in the zone of the application. Both files are in PEER_HOME.
"""

import os
import shelve
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import celery
from celery import Celery
from celery.beat import ScheduleEntry
from celery.schedules import crontab, schedule

HOME = Path(os.environ["PEER_HOME"])
LINES, SHELVE = HOME / "lines.tsv", str(HOME / "celerybeat-schedule")

app = Celery("beat_celery", broker=os.environ["REDIS_URL"])
app.conf.update(timezone="Europe/Berlin", result_expires=None)


def fill(lines: Iterable[str]) -> None:
    """As if it had run before: each ran last one period before it is due."""
    lines = list(lines)
    with LINES.open("a") as configured:
        configured.writelines(lines)
    with shelve.open(SHELVE) as store:
        entries = store.get("entries", {})
        entries.update((entry.name, entry) for entry in map(stored, lines))
        # Without these it would begin anew.
        store.update(__version__=celery.__version__, tz=app.conf.timezone, utc_enabled=True)
        store["entries"] = entries


def stored(line: str) -> ScheduleEntry:
    name, due, rule, _ = line.rstrip("\n").split("\t")
    every = timedelta(seconds=int(rule)) if rule.isdigit() else timedelta(days=1)
    last_run_at = datetime.fromtimestamp(float(due), UTC) - every
    return ScheduleEntry(name=name, last_run_at=last_run_at, app=app, **configured(due, rule))


def configured(due: str, rule: str) -> dict[str, Any]:
    when = schedule(int(rule)) if rule.isdigit() else crontab(*rule.split())
    return {"task": "peer.run", "schedule": when, "args": (float(due),)}


def configuration() -> Iterator[tuple[str, dict[str, Any]]]:
    for line in LINES.read_text().splitlines():
        name, due, rule, _ = line.split("\t")
        yield name, configured(due, rule)


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        fill(sys.stdin)
    else:
        app.conf.beat_schedule = dict(configuration())
        app.start(["beat", "--loglevel", "WARNING", "--pidfile", "", "--schedule", SHELVE])
