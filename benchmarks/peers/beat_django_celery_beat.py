"""django-celery-beat with its tables in PostgreSQL.

python beat_django_celery_beat.py fill < LINES    name, due instant, rule and zone, by tabs
python beat_django_celery_beat.py run
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import django
from celery import Celery
from django.conf import settings
from django.core.management import call_command

URL = urlsplit(os.environ["DATABASE_URL"])

settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django_celery_beat"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": URL.path.strip("/"),
            "USER": URL.username,
            "PASSWORD": URL.password,
            "HOST": URL.hostname,
            "PORT": URL.port,
        }
    },
    USE_TZ=True,
    TIME_ZONE="UTC",
)
django.setup()

from django_celery_beat.models import (  # noqa: E402  (Django must be set up)
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    PeriodicTasks,
)

app = Celery("beat_django_celery_beat", broker=os.environ["REDIS_URL"])
app.conf.update(
    beat_scheduler="django_celery_beat.schedulers:DatabaseScheduler", result_expires=None
)


def fill(lines: Iterable[str]) -> None:
    call_command("migrate", verbosity=0)
    PeriodicTask.objects.bulk_create(tasks(lines), batch_size=5_000)
    PeriodicTasks.update_changed()


def tasks(lines: Iterable[str]) -> Iterator[PeriodicTask]:
    """Each ran last one period before it is due."""
    known: dict[tuple[str, str], dict[str, Any]] = {}
    for line in lines:
        name, due, rule, zone = line.rstrip("\n").split("\t")
        if (rule, zone) not in known:
            known[rule, zone] = when(rule, zone)
        every = timedelta(seconds=int(rule)) if rule.isdigit() else timedelta(days=1)
        yield PeriodicTask(
            name=name,
            task="peer.run",
            args=json.dumps([float(due)]),
            last_run_at=datetime.fromtimestamp(float(due), UTC) - every,
            **known[rule, zone],
        )


def when(rule: str, zone: str) -> dict[str, Any]:
    if rule.isdigit():
        every, _ = IntervalSchedule.objects.get_or_create(every=int(rule), period="seconds")
        return {"interval": every}
    minute, hour, *_ = rule.split()
    daily, _ = CrontabSchedule.objects.get_or_create(minute=minute, hour=hour, timezone=zone)
    return {"crontab": daily}


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        fill(sys.stdin)
    else:
        app.start(["beat", "--loglevel", "WARNING", "--pidfile", ""])
