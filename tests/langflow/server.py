"""A real LangFlow for tests: installed once, started on a free port, filled with the test flows."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.cache import cached, call

VERSION = "1.13.0"
PYTHON = "3.11"
START_SECONDS = 180.0
STOP_SECONDS = 20.0
ANSWER_SECONDS = 60.0
FLOWS = Path(__file__).parents[1] / "data" / "langflow" / "flows"
COMPONENTS = Path(__file__).parent / "components"

# LangFlow reads every LANGFLOW_ variable and copies provider keys: it inherits no more than this.
_INHERITED = ("PATH", "LANG", "LC_ALL", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


@dataclass(frozen=True, kw_only=True, slots=True)
class LangflowServer:
    url: str
    api_key: str


@contextmanager
def running_langflow(data: Path) -> Iterator[LangflowServer]:
    """A LangFlow with the test flows that keeps everything below `data`."""
    command = install()
    port, password = _free_port(), secrets.token_urlsafe(16)
    for name in ("home", "tmp", "config", "outbox"):
        (data / name).mkdir(parents=True)
    log = data / "server.log"
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [command, "run", "--backend-only", "--host", "127.0.0.1", "--port", str(port)],
            cwd=data,
            env=_environment(data, password),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A launcher, a supervisor and a worker: only the group can be stopped as a whole.
            start_new_session=True,
        )
    try:
        _wait(lambda: _is_healthy(url, process, log), seconds=START_SECONDS, what=str(log))
        server = LangflowServer(url=url, api_key=_make_key(url, password))
        _put_flows(server)
        yield server
    finally:
        _stop(process)


def install() -> Path:
    """The launcher of the cached installation, which is made when it is missing."""
    venv = cached(f"langflow-{VERSION}", _fill)
    return venv / "bin" / "langflow"


def _fill(venv: Path) -> None:
    package, python = f"langflow-base=={VERSION}", venv / "bin" / "python"
    if shutil.which("uv"):
        call("uv", "venv", "--quiet", "--python", PYTHON, str(venv))
        call("uv", "pip", "install", "--quiet", "--python", str(python), package)
    else:
        call(shutil.which(f"python{PYTHON}") or sys.executable, "-m", "venv", str(venv))
        call(str(python), "-m", "pip", "install", "--quiet", package)


def _environment(data: Path, password: str) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return inherited | {
        "HOME": str(data / "home"),
        "TMPDIR": str(data / "tmp"),
        "DO_NOT_TRACK": "true",
        "LANGFLOW_DO_NOT_TRACK": "true",
        "LANGFLOW_CONFIG_DIR": str(data / "config"),
        "LANGFLOW_DATABASE_URL": f"sqlite:///{data / 'langflow.db'}",
        "LANGFLOW_TELEMETRY_WRITER_OUTBOX_DIR": str(data / "outbox"),
        # Pretty tracebacks cost seconds of processor time for every failing run.
        "LANGFLOW_PRETTY_LOGS": "false",
        "LANGFLOW_AUTO_LOGIN": "false",
        "LANGFLOW_SUPERUSER": "tester",
        "LANGFLOW_SUPERUSER_PASSWORD": password,
        "LANGFLOW_STORE_ENVIRONMENT_VARIABLES": "false",
        "LANGFLOW_OPEN_BROWSER": "false",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        tail = log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"LangFlow ended with {process.returncode}:\n{tail}")
    try:
        return requests.get(f"{url}/health_check", timeout=5).ok
    except requests.RequestException:
        return False


def _make_key(url: str, password: str) -> str:
    form = {"username": "tester", "password": password}
    login = requests.post(f"{url}/api/v1/login", data=form, timeout=ANSWER_SECONDS)
    login.raise_for_status()
    bearer = {"authorization": f"Bearer {login.json()['access_token']}"}
    made = requests.post(
        f"{url}/api/v1/api_key/", json={"name": "tests"}, headers=bearer, timeout=ANSWER_SECONDS
    )
    made.raise_for_status()
    key: str = made.json()["api_key"]
    return key


def _put_flows(server: LangflowServer) -> None:
    with requests.Session() as session:
        session.headers["x-api-key"] = server.api_key
        answer = session.get(f"{server.url}/api/v1/all", timeout=ANSWER_SECONDS)
        answer.raise_for_status()
        code = _standard_code(answer.json()) | _own_code()
        for file in sorted(FLOWS.glob("*.json")):
            flow = json.loads(file.read_text())
            for node in flow["data"]["nodes"]:
                node["data"]["node"]["template"]["code"]["value"] = code[node["data"]["type"]]
            put = session.put(
                f"{server.url}/api/v1/flows/{flow['id']}", json=flow, timeout=ANSWER_SECONDS
            )
            put.raise_for_status()


def _standard_code(catalogue: dict[str, Any]) -> dict[str, str]:
    """The source of each component type that the server knows."""
    return {
        name: component["template"]["code"]["value"]
        for components in catalogue.values()
        for name, component in components.items()
        if "code" in component.get("template", {})
    }


def _own_code() -> dict[str, str]:
    """The source of our components by the name of their class, which is their type."""
    sources = [file.read_text() for file in sorted(COMPONENTS.glob("*.py"))]
    return {source.partition("\nclass ")[2].partition("(")[0]: source for source in sources}


def _stop(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        _wait(lambda: _is_over(process), seconds=STOP_SECONDS, what="LangFlow's end")
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _is_over(process: subprocess.Popen[bytes]) -> bool:
    """Whether no process of the group is left."""
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return True
    return False


def _wait(holds: Callable[[], bool], *, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.1)
