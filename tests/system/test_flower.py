"""Flower as people see it: real runs in a real browser, and nothing to break or to steal."""

import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import flower.urls
import pytest
import redis
import requests

from automagik.core.config import Settings
from automagik.core.embedded import services
from automagik.core.embedded.ports import LOOPBACK, free_port
from automagik.core.embedded.processes import ChildProcess
from automagik.core.tasks.manager import TaskManager
from automagik.demo import faults
from automagik.demo.server import DemoServer
from tests.conftest import new_database, settings_in
from tests.system import browser
from tests.system.conftest import Desk, desk_at
from tests.system.fleet import Fleet, fleet_of
from tests.system.traces import flower_traces, places_of

pytestmark = pytest.mark.system

KEY, PASSWORD = f"sk-{secrets.token_hex(24)}", secrets.token_hex(12)
INPUT = f"question-{secrets.token_hex(12)}"
USER = "operator"
SIZE = (1720, 600)
SCHEDULE = "every-morning"
LATER = faults.answer(429, "{}", headers={"retry-after": "3600"})
STATES = {
    ("Echo", SCHEDULE): "SUCCESS",
    ("Failing", "-"): "FAILURE",
    ("Flaky", "-"): "RETRY",
    ("Slow", "-"): "REVOKED",
    ("Slow", "nightly"): "STARTED",
}
"""How each run stands, by its flow and its schedule."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """Flower with a password, among a beat and a worker whose runs have come to stand."""

    url: str
    worker: str
    task_ids: Mapping[str, str]
    """By flow and schedule as Flower writes them."""
    secrets: tuple[str, ...]

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, auth=(USER, PASSWORD), timeout=20)

    def seen(self, path: str, folder: Path, **options: Any) -> browser.Page:
        address = self.url.replace("://", f"://{USER}:{PASSWORD}@")
        return browser.page(address + path, folder=folder, **options)


@pytest.fixture(scope="module")
def site(
    postgres_server_url: str,
    redis_server_url: str,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("flower")
    with (
        pytest.MonkeyPatch.context() as patch,
        new_database(postgres_server_url, template=migrated_template) as url,
        settings_in(
            patch, AUTOMAGIK_HOME=str(home), DATABASE_URL=url, REDIS_URL=redis_server_url
        ) as settings,
        closing(redis.Redis.from_url(redis_server_url)) as client,
        _flower(home) as address,
        fleet_of(settings, home / "logs") as fleet,
        DemoServer(api_key=KEY, faults={"flaky": LATER, "slow": faults.hang()}) as server,
    ):
        client.flushdb()
        yield _site(address, fleet, settings, server)


@contextmanager
def _flower(folder: Path) -> Iterator[str]:
    """By the command of the documentation alone, in a folder with nothing in it."""
    port = free_port()
    own = {"FLOWER_PORT": str(port), "FLOWER_BASIC_AUTH": f"{USER}:{PASSWORD}"}
    child = ChildProcess(
        "flower",
        (sys.executable, "-P", "-m", "celery", "-A", "automagik", "flower"),
        log_path=folder / "flower.log",
        env=os.environ | own,
        cwd=folder,
    )
    url = f"http://{LOOPBACK}:{port}"
    child.start()
    try:
        child.wait_until(services.answers(f"{url}/healthcheck"), seconds=60)
        yield url
    finally:
        child.stop()


def _site(url: str, fleet: Fleet, settings: Settings, server: DemoServer) -> Site:
    fleet.worker()
    fleet.beat()
    worker = fleet.value("SELECT name FROM workers")

    def asked(path: str) -> Any:
        return requests.get(url + path, auth=(USER, PASSWORD), timeout=20).json()

    def is_known() -> bool:
        return any(each["status"] for each in asked("/workers?json=1")["data"])

    def states() -> dict[tuple[str, str], str]:
        return {
            (task["args"].partition("=")[2], task["kwargs"].partition("=")[2]): task["state"]
            for task in asked("/api/tasks").values()
        }

    fleet.wait_until(is_known, seconds=60, what="Flower sees the worker")
    _run_all(fleet, desk_at(fleet, settings, server))
    fleet.wait_until(lambda: states() == STATES, seconds=30, what=f"Flower shows {STATES}")
    tasks = asked("/api/tasks").items()
    return Site(
        url=url,
        worker=worker,
        task_ids={f"{task['args']} {task['kwargs']}": task_id for task_id, task in tasks},
        secrets=(KEY, PASSWORD, INPUT, *_secrets_of(settings)),
    )


def _run_all(fleet: Fleet, desk: Desk) -> None:
    desk.schedule("Echo", "one-shot", "now", name=SCHEDULE, text=INPUT)
    desk.run("Failing", INPUT, max_retries=0)
    desk.run("Flaky", INPUT)
    cancelled = desk.run("Slow", INPUT)
    running = "SELECT state = 'running' FROM tasks WHERE id = :id"
    fleet.wait_for(running, id=cancelled.id)
    TaskManager(desk.database, desk.settings).cancel(cancelled.id, actor="test")
    desk.schedule("Slow", "one-shot", "now", name="nightly", text=INPUT)


def _secrets_of(settings: Settings) -> list[str]:
    addresses = (settings.require_database_url(), settings.require_redis_url())
    passwords = [urlsplit(address).password for address in addresses]
    assert settings.secret_key is not None
    return [settings.secret_key.get_secret_value(), *(each for each in passwords if each)]


def test_the_page_of_tasks_shows_runs_by_flow_schedule_and_state(
    site: Site, tmp_path: Path
) -> None:
    page = site.seen("/tasks", tmp_path, name="tasks", size=SIZE)

    assert page.headers[0][:3] == ["Flow", "Schedule", "State"]
    assert {(row[0], row[1], row[2]) for row in page.rows} == {
        (f"flow={flow}", f"schedule={schedule}", state)
        for (flow, schedule), state in STATES.items()
    }
    assert len(page.rows) == len(STATES)
    assert page.size == SIZE
    assert page.picture.stat().st_size > 20_000, "an empty page of this size has 6,000"
    assert places_of_any(site.secrets, {"page": page.dom}) == []


def test_the_page_of_a_worker_shows_it_and_no_button(site: Site, tmp_path: Path) -> None:
    page = site.seen(f"/worker/{site.worker}", tmp_path, name="worker", size=SIZE)

    assert site.worker in page.dom
    assert "TaskPool" in page.dom, "what it answers itself is there, too"
    for words in ("Shut Down", "Shutdown", "Autoscale", "Add consumer", "Cancel Consumer"):
        assert words.casefold() not in page.dom.casefold()
    assert page.picture.stat().st_size > 20_000
    assert places_of_any(site.secrets, {"page": page.dom}) == []


def test_no_page_and_no_answer_of_the_api_has_a_secret(site: Site) -> None:
    said = flower_traces(
        site.url, worker=site.worker, task_ids=site.task_ids.values(), auth=(USER, PASSWORD)
    )

    assert places_of("flow=Echo", said), "it does say something"
    assert places_of_any(site.secrets, said) == []


def test_nobody_can_change_a_thing(site: Site) -> None:
    """Whatever Flower has a POST for; its table of tasks is one that only asks for more."""
    paths = [
        path.replace("(.+)", site.worker)
        for path, handler in _handlers()
        if path.startswith("/api/") and "post" in vars(handler)
    ]
    assert len(paths) > 10
    for path in paths:
        answer = requests.post(site.url + path, auth=(USER, PASSWORD), timeout=20, data="{}")
        assert (answer.status_code, answer.text) == (403, "Read only mode is enabled"), path


def test_without_the_password_there_are_figures_and_nothing_else(site: Site) -> None:
    """docs/flower.md tells of /metrics."""
    statuses = {
        path: requests.get(site.url + path.replace("(.+)", "x"), timeout=20).status_code
        for path, handler in _handlers()
        if "get" in vars(handler) and "(.*)" not in path
    }

    assert statuses["/tasks"] == statuses["/api/tasks"] == 401
    assert {path for path, status in statuses.items() if status == 200} == {
        "/metrics",
        "/healthcheck",
        "/logout",
    }
    assert places_of_any(site.secrets, {"m": requests.get(f"{site.url}/metrics").text}) == []


def _handlers() -> list[tuple[str, type]]:
    """The path and the class of every page but the one for all others."""
    specs = [each if isinstance(each, tuple) else _parts(each) for each in flower.urls.handlers]
    return [(spec[0], spec[1]) for spec in specs if spec[0].startswith("/")]


def _parts(each: Any) -> tuple[str, type]:
    return each.regex.pattern.rstrip("$"), each.handler_class


def places_of_any(texts: tuple[str, ...], traces: Mapping[str, str]) -> list[str]:
    return [place for text in texts for place in places_of(text, traces)]
