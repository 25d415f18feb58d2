"""What beats and workers have in memory: no library that only other processes need."""

import json
import subprocess
import sys
from typing import Any

import pytest

from automagik.core.config import Settings

# As `celery beat` does it, up to the end of the first tick.
BEAT = """
from automagik.celery import app
from celery.beat import Service

app.loader.init_worker()
app.finalize()
scheduler = Service(app, scheduler_cls=app.conf.beat_scheduler).get_scheduler()
scheduler.tick()
scheduler.close()
found = list(sys.modules)
"""

# As `celery worker` does it, up to where it takes deliveries.
WORKER = """
from automagik.celery import app
from celery.bin.base import CLIContext
from celery.bin.worker import worker

obj = CLIContext(app=app, no_color=True, workdir=None)
options = worker.make_context("worker", sys.argv[1:], obj=obj).params
app.Worker(include=options["include"], pool=options["pool"], quiet=True)
found = [*sys.modules, *app.tasks]
"""

OF_OTHERS = {"sqlalchemy.orm", "alembic", "icalendar", "croniter", "typer", "rich", "textual"}
# The client of Redis imports what else there is of OpenTelemetry, where it is installed.
OF_TRACES = {
    "automagik.core.tracing.spans",
    "opentelemetry.exporter",
    "opentelemetry.sdk.trace",
    "google.protobuf",
}
OF_RUNS = {"requests", "cryptography.fernet", "automagik.core.flows.call"}


@pytest.fixture(autouse=True)
def _servers(settings: Settings) -> None:
    """A database and a Redis, which the processes find in their environment."""


def found_in(code: str, *arguments: str) -> set[Any]:
    """What a new Python says."""
    whole = f"import json, sys\n{code}\nprint(json.dumps(found))"
    asked = [sys.executable, "-W", "ignore", "-c", whole, *arguments]
    answer = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=True)
    return set(json.loads(answer.stdout.splitlines()[-1]))


def test_a_beat_has_nothing_of_runs_nor_of_the_command_line() -> None:
    found = found_in(BEAT)

    assert "automagik.core.scheduler.fire" in found
    assert (
        found & (OF_OTHERS | OF_RUNS | OF_TRACES | {"workers.tasks", "workers.lifecycle"}) == set()
    )


def test_a_worker_has_the_task_and_nothing_of_the_command_line() -> None:
    found = found_in(WORKER)

    assert {"automagik.run", "workers.lifecycle", *OF_RUNS} - {"cryptography.fernet"} <= found
    assert found & (OF_OTHERS | OF_TRACES) == set()


def test_a_worker_has_the_task_beside_what_it_is_told_to_include() -> None:
    assert {"automagik.run", "wave"} <= found_in(WORKER, "--include", "wave")
