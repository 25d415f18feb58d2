"""What systemd hears of a real beat."""

import signal
import socket
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.fleet import Fleet, kill

pytestmark = pytest.mark.system

SECONDS = 20.0
SILENCE_SECONDS = 1.5
"""Three times as long as the beats of tests sleep."""


class Manager:
    """Listens as a service manager does."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)

    def hears(self, *, seconds: float = SECONDS) -> str | None:
        """The next word; None when none comes in time."""
        self._socket.settimeout(seconds)
        try:
            return self._socket.recv(4096).decode()
        except (TimeoutError, BlockingIOError):
            return None

    def forgets(self) -> None:
        """What it was told up to now."""
        while self.hears(seconds=0):
            pass

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest) -> Iterator[Manager]:
    with tempfile.TemporaryDirectory() as folder:
        name = f"@automagik-{uuid.uuid4()}"
        found = Manager(name if request.param == "abstract" else str(Path(folder, "notify")))
        yield found
        found.close()


def test_a_beat_says_that_it_is_ready_at_each_tick_that_it_lives_and_that_it_stops(
    fleet: Fleet, manager: Manager
) -> None:
    beat = fleet.beat(NOTIFY_SOCKET=manager.address)

    assert manager.hears() == "READY=1"
    assert manager.hears() == "WATCHDOG=1"
    assert manager.hears() == "WATCHDOG=1"
    kill(beat, signal.SIGTERM)
    heard = list(iter(manager.hears, "STOPPING=1"))
    assert set(heard) <= {"WATCHDOG=1"}


def test_nobody_hears_of_a_frozen_beat_until_it_goes_on(fleet: Fleet, manager: Manager) -> None:
    beat = fleet.beat(NOTIFY_SOCKET=manager.address)
    kill(beat, signal.SIGSTOP)
    manager.forgets()

    assert manager.hears(seconds=SILENCE_SECONDS) is None
    kill(beat, signal.SIGCONT)
    assert manager.hears() == "WATCHDOG=1"


def test_a_manager_that_went_stops_no_beat(fleet: Fleet, manager: Manager) -> None:
    fleet.beat(NOTIFY_SOCKET=manager.address)
    assert manager.hears() == "READY=1"
    manager.close()
    first = fleet.value("SELECT last_tick_at FROM beats")

    assert fleet.wait_for("SELECT 1 FROM beats WHERE last_tick_at > :first", first=first)
