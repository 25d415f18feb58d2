"""What is secret stays where it belongs."""

import base64
import json
import logging
import socket
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr

from automagik.core.config import Settings
from automagik.core.encryption import Keyring
from automagik.core.flows.exceptions import RemoteError
from automagik.core.flows.remote import RemoteFlows
from tests.conftest import new_database, settings_in
from tests.core.flows.peer import peer, read_request
from tests.system.indiscreet import (
    FLOWER_STATES,
    INPUT,
    KEY,
    OUTPUT,
    SCHEDULE,
    Aftermath,
    happened,
)
from tests.system.traces import places_of

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def told(
    postgres_server_url: str,
    redis_server_url: str,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
    server_home: Path,
) -> Iterator[tuple[Aftermath, Settings]]:
    """The story is told once; each test looks for something else in what was left."""
    home = tmp_path_factory.mktemp("secrets") / "home"
    home.mkdir()
    with (
        pytest.MonkeyPatch.context() as patch,
        new_database(postgres_server_url, template=migrated_template) as url,
        settings_in(
            patch, AUTOMAGIK_HOME=str(home), DATABASE_URL=url, REDIS_URL=redis_server_url
        ) as settings,
    ):
        with closing(redis.Redis.from_url(redis_server_url)) as client:
            client.flushdb()
        yield happened(settings, patch, server_logs=server_home / "logs"), settings


@pytest.fixture(scope="module")
def aftermath(told: tuple[Aftermath, Settings]) -> Aftermath:
    return told[0]


@pytest.mark.parametrize("before", ["", "a", "ab"])
def test_the_search_sees_through_disguises(before: str) -> None:
    body = base64.b64encode(f"{before}{KEY} and more".encode()).decode()
    assert places_of(KEY, {"there": f'{{"body": "{body}"}}', "elsewhere": INPUT}) == ["there"]


def test_the_api_key_is_nowhere(aftermath: Aftermath) -> None:
    """Not as a whole, nor half of it."""
    for part in (KEY[: len(KEY) // 2], KEY[len(KEY) // 2 :]):
        assert places_of(part, aftermath.everything) == []
    assert places_of("nobody is called *** here", aftermath.tables) == [
        "task_attempts.error_message",
        "task_logs.message",
        "tasks.error_message",
    ], "the server did send it back"


def test_the_api_key_is_stored_encrypted(told: tuple[Aftermath, Settings]) -> None:
    aftermath, settings = told
    stored = aftermath.tables["sources.api_key_encrypted"].split()
    assert len(stored) == 2
    for token in stored:
        assert Keyring.of(settings).decrypt(token).get_secret_value() == KEY


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (INPUT, {"schedules.input_value", "tasks.input_value"}),
        (OUTPUT, {"tasks.output_text", "tasks.result"}),
    ],
    ids=["input", "output"],
)
def test_inputs_and_outputs_are_in_postgresql_only(
    aftermath: Aftermath, text: str, columns: set[str]
) -> None:
    assert columns <= set(places_of(text, aftermath.tables))
    assert places_of(text, aftermath.redis) == []
    assert places_of(text, aftermath.flower) == []
    assert places_of(text, aftermath.processes) == []


def test_redis_carries_the_ids_of_tasks(aftermath: Aftermath) -> None:
    """So that the capture is one: whatever else had been sent would be in it, too."""
    for task in aftermath.tasks.values():
        body = base64.b64encode(f'[["{task.id}"]'.encode()).decode()[:-4]
        assert body in aftermath.redis["redis commands"]


def test_flower_shows_each_run_by_the_names_that_people_know(aftermath: Aftermath) -> None:
    listed = json.loads(aftermath.flower["flower /api/tasks"])
    assert listed.keys() == {str(task.id) for task in aftermath.tasks.values()}
    for flow, state in FLOWER_STATES.items():
        task_id = str(aftermath.tasks[flow].id)
        shown = listed[task_id]
        schedule = SCHEDULE if flow == "Echo" else "-"
        assert (shown["args"], shown["kwargs"]) == (f"flow={flow}", f"schedule={schedule}")
        assert shown["state"] == state
        page = aftermath.flower[f"flower /task/{task_id}"]
        assert all(words in page for words in (f"flow={flow}", f"schedule={schedule}", state))


def test_flower_names_the_code_of_an_error_and_not_its_text(aftermath: Aftermath) -> None:
    listed = json.loads(aftermath.flower["flower /api/tasks"])
    for flow in ("Failing", "Rotated"):
        task = aftermath.tasks[flow]
        assert listed[str(task.id)]["exception"] == f"RunFailed('{task.error_code}')"
    assert places_of("nobody is called", aftermath.flower) == []


NOT_HTTP = {
    "a banner": "welcome, {key}\r\n\r\n",
    "a status": "HTTP/1.1 fine {key}\r\n\r\n",
    "a header without a colon": "HTTP/1.1 200 OK\r\n{key}\r\nx: y\r\n\r\n{{}}",
    "a content type": "HTTP/1.1 200 OK\r\ncontent-type: text/{key}\r\n\r\n{{}}",
    "the size of a chunk": (
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
        "transfer-encoding: chunked\r\n\r\n{key}\r\n"
    ),
    "a redirect": "HTTP/1.1 302 Found\r\nlocation: /{key}\r\n\r\n",
}


@pytest.mark.parametrize("answer", NOT_HTTP.values(), ids=NOT_HTTP.keys())
def test_no_error_tells_a_key_that_a_strange_peer_sends_back(
    answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither its message nor its traceback, nor the log of a library."""

    def script(connection: socket.socket) -> None:
        assert KEY.encode() in read_request(connection)
        connection.sendall(answer.format(key=KEY).encode())
        connection.shutdown(socket.SHUT_WR)

    caplog.set_level(logging.INFO)
    with peer(script) as served, pytest.raises(RemoteError) as caught:
        RemoteFlows(served.url, SecretStr(KEY)).version()
    assert served.reached.is_set()
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert KEY not in caplog.text
