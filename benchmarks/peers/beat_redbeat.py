"""RedBeat: schedules are hashes in Redis, in the order of a sorted set.

    python beat_redbeat.py fill < LINES    each with name, due instant, rule and zone, by tabs
    python beat_redbeat.py run

Its cron rules are in the zone of the application.
"""

import json
import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice

from celery import Celery
from celery.schedules import crontab, schedule
from redbeat import RedBeatSchedulerEntry
from redbeat.decoder import RedBeatJSONEncoder
from redbeat.schedulers import ensure_conf, get_redis

URL = os.environ["REDIS_URL"]
CHUNK = 5_000

app = Celery("beat_redbeat", broker=URL)
app.conf.update(
    timezone="Europe/Berlin",
    redbeat_redis_url=URL,
    redbeat_redis_options={},
    beat_scheduler="redbeat.RedBeatScheduler",
)


def fill(lines: Iterable[str]) -> None:
    """The commands of `RedBeatSchedulerEntry.save`, many in one round trip."""
    commands = map(stored, lines)
    while chunk := list(islice(commands, CHUNK)):
        with get_redis(app).pipeline(transaction=False) as pipeline:
            for key, score, fields in chunk:
                pipeline.hset(key, mapping=fields)
                pipeline.zadd(app.redbeat_conf.schedule_key, {key: score})
            pipeline.execute()


def stored(line: str) -> tuple[str, int, dict[str, str]]:
    """Key, score and the fields of the hash; it ran last one period before it is due."""
    name, due, rule, _ = line.rstrip("\n").split("\t")
    instant = datetime.fromtimestamp(float(due), UTC)
    every = timedelta(seconds=int(rule)) if rule.isdigit() else timedelta(days=1)
    definition = {
        "name": name,
        "task": "peer.run",
        "args": [float(due)],
        "kwargs": {},
        "options": {},
        "schedule": schedule(every) if rule.isdigit() else crontab(*rule.split()),
        "enabled": True,
    }
    fields = {
        "definition": json.dumps(definition, cls=RedBeatJSONEncoder),
        "meta": json.dumps({"last_run_at": instant - every}, cls=RedBeatJSONEncoder),
    }
    return RedBeatSchedulerEntry.generate_key(app, name), int(float(due)), fields


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        ensure_conf(app)
        fill(sys.stdin)
    else:
        app.start(["beat", "--loglevel", "WARNING", "--pidfile", ""])
