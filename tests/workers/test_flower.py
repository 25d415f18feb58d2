"""How `celery -A automagik flower` is set up before it starts, and when it must not start."""

import json
import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import flower.options
import pytest

from automagik.core.config import Settings
from automagik.core.exceptions import ConfigurationError
from workers import flowerconfig
from workers.flower import _require_password

SETTLED = """
import json, sys
from flower.options import options
from workers import flower
flower._settle(sys.argv[1:])
names = ("max_tasks", "max_workers", "port", "address", "read_only", "enable_events", "persistent")
print(json.dumps({name: getattr(options, name) for name in names}))
"""


def test_every_default_is_an_option_of_flower() -> None:
    """A name that Flower does not know would be passed over."""
    names = {name for name in vars(flowerconfig) if not name.startswith("_")}
    known = flower.options.options.as_dict()

    assert names <= known.keys()
    for name in names:
        chosen = getattr(flowerconfig, name)
        assert isinstance(chosen, type(known[name])) or known[name] is None


def test_a_variable_goes_before_our_default_a_file_before_it_an_option_before_all(
    tmp_path: Path,
) -> None:
    (tmp_path / "flowerconfig.py").write_text("max_workers = 9\nport = 1\n")
    settled = subprocess.run(
        [sys.executable, "-c", SETTLED, "--port=1234"],
        env=os.environ | {"FLOWER_MAX_TASKS": "7", "FLOWER_MAX_WORKERS": "8"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert json.loads(settled.stdout) == {
        "max_tasks": 7,
        "max_workers": 9,
        "port": 1234,
        "address": "127.0.0.1",
        "read_only": True,
        "enable_events": False,
        "persistent": False,
    }


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_on_loopback_it_may_go_without_a_password(address: str) -> None:
    _require_password(_options(address=address))


@pytest.mark.parametrize("address", ["", "0.0.0.0", "::", "10.0.0.1", "flower.example.com"])
def test_elsewhere_it_needs_one(address: str) -> None:
    where = address or "all addresses"
    with pytest.raises(ConfigurationError, match=f"not listen on {where} without a password"):
        _require_password(_options(address=address))
    with pytest.raises(ConfigurationError, match="without a password"):
        _require_password(_options(address=address, auth="ops@example.com"))  # with no provider
    _require_password(_options(address=address, basic_auth=["user:password"]))
    oauth = {"auth": "ops@example.com", "auth_provider": "flower.views.auth.GitLabLoginHandler"}
    _require_password(_options(address=address, **oauth))


@pytest.mark.parametrize("pair", ["", "user", "user:", ":password"])
def test_half_a_password_is_none(pair: str) -> None:
    for pairs in ([pair], ["user:password", pair]):
        with pytest.raises(ConfigurationError, match="basic auth is not user:password"):
            _require_password(_options(address="127.0.0.1", basic_auth=pairs))


def _options(**given: object) -> SimpleNamespace:
    none = {"basic_auth": None, "auth": "", "auth_provider": None, "unix_socket": ""}
    return SimpleNamespace(**none | given)


REFUSALS = {
    "--address=0.0.0.0": (2, "does not listen on 0.0.0.0 without a password"),
    "--conf=nowhere.py": (2, "options cannot be read: FileNotFoundError"),
    "--basic-auth=user": (2, "Flower's basic auth is not user:password"),
    "--port={taken}": (1, "Flower cannot start: Address already in use"),
}
"""By the option: the exit code and what is said. A service manager tries again after 1."""


@pytest.mark.parametrize("option", REFUSALS)
def test_it_refuses_in_one_line(option: str, settings: Settings, tmp_path: Path) -> None:
    exit_code, said = REFUSALS[option]
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        given = option.format(taken=server.getsockname()[1])
        refused = subprocess.run(
            [sys.executable, "-P", "-m", "celery", "-A", "automagik", "flower", given],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    lines = [json.loads(line) for line in refused.stderr.splitlines()]
    assert refused.returncode == exit_code
    assert [line["level"] for line in lines] == ["critical"]
    assert said in lines[0]["event"]
