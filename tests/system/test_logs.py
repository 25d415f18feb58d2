"""What beats and workers write into their logs, off a terminal."""

import json
import os
import signal
from typing import Any
from urllib.parse import urlsplit

import pytest

from automagik.core.config import Settings
from automagik.core.embedded.processes import ChildProcess
from automagik.demo.server import DemoServer
from tests.system.conftest import desk_at
from tests.system.fleet import Fleet, fleet_of

pytestmark = pytest.mark.system

API_KEY, OTHER_KEY = "sk-canary-7f3a9b2c5d8e", "sk-canary-1b2d4f6a8c0e"
FOREIGN = "nobody-knows-me"


def records(process: ChildProcess) -> list[Any]:
    """All of it: whatever is no line of JSON fails here."""
    return [json.loads(line) for line in process.log_path.read_text().splitlines()]


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_no_secret_is_in_any_line_and_each_line_of_a_run_names_it(
    pool: str, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The processes try to tell all they know, in messages, fields and exceptions."""
    logs = tmp_path_factory.mktemp("logs")
    with (
        fleet_of(settings, logs, app="tests.system.talkative") as fleet,
        DemoServer(api_key=API_KEY) as server,
    ):
        desk = desk_at(fleet, settings, server)
        secrets = {"LANGFLOW_API_KEY": OTHER_KEY, "FOREIGN_SECRET": FOREIGN}
        beat = fleet.beat(**secrets)
        worker = fleet.worker("-P", pool, **secrets)
        schedule = desk.schedule("Echo", "one-shot", "now", name="once")
        ended = "SELECT id FROM tasks WHERE state = 'waiting' AND attempt = 1"
        task_id = str(fleet.wait_for(ended))
        name = fleet.value("SELECT name FROM workers")
        fleet.wait_until(
            lambda: any("retry" in line["event"] for line in records(worker)),
            seconds=10,
            what="Celery tells of the attempt",
        )
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGTERM)
        fleet.wait_until(lambda: worker.poll() is not None, seconds=30, what="the worker ends")

    said = "".join(process.log_path.read_text() for process in (beat, worker))
    password = f":{urlsplit(os.environ['DATABASE_URL']).password}@"
    hidden = [API_KEY, OTHER_KEY, FOREIGN, os.environ["AUTOMAGIK_SECRET_KEY"], password]
    assert [each for each in hidden if each in said] == []
    for process in (beat, worker):
        [told] = [line for line in records(process) if line["logger"] == "tests.system.talkative"]
        assert told["exception"].count("***") >= 4
        assert told["api_key"] == told["headers"]["Authorization"] == "***"
        [died] = [line for line in records(process) if line["event"] == "Unexpected RuntimeError"]
        assert "***" in died["exception"], "an error that nobody catches is one record, too"

    # Those of its first attempt; there may be another by now.
    lines = [line for line in records(worker) if line.get("task_id") == task_id][:3]
    assert [line["level"] for line in lines] == ["info", "error", "info"]
    assert {line["worker"] for line in lines} == {name}
    assert {(line["flow"], line["schedule"]) for line in lines} == {("Echo", schedule.name)}
    assert [line.get("attempt") for line in lines] == [None, 1, 1], (
        "it is received before its claim"
    )
    assert "RuntimeError: *** was not welcome" in lines[1]["exception"]
    assert {line["beat"].partition("@")[0] for line in records(beat)} == {"beat"}


def test_a_level_and_a_file_are_chosen_as_ever(
    fleet: Fleet, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """By Celery's options: a quiet worker says nothing, a talkative one says it to the file."""
    file = tmp_path_factory.mktemp("chosen") / "worker.log"
    quiet = fleet.worker("--loglevel", "ERROR")
    talkative = fleet.worker("--loglevel", "DEBUG", "--logfile", str(file))
    levels = {json.loads(line)["level"] for line in file.read_text().splitlines()}
    assert {"debug", "info"} <= levels
    assert "ready." in file.read_text()
    rest = [*records(quiet), *records(talkative)]
    # That it runs as root it says before it knows where to.
    assert {line["logger"] for line in rest} <= {"py.warnings"}


def test_who_wants_text_gets_it_off_a_terminal_too(fleet: Fleet) -> None:
    worker = fleet.worker(AUTOMAGIK_LOG_FORMAT="console")
    fleet.wait_until(
        lambda: "ready." in worker.tail(), seconds=10, what="the worker says that it is ready"
    )
    assert "[info     ]" in worker.tail()
    assert "\x1b[" not in worker.log_path.read_text()
