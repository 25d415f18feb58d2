"""What a service manager is told, and what becomes of a word that nobody takes."""

import socket
from pathlib import Path

import pytest

from workers.service_manager import ServiceManager

MORE_THAN_ANY_QUEUE_HOLDS = 5_000


def test_without_a_manager_nothing_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    manager = ServiceManager()
    manager.tell("READY=1")

    assert manager._socket is None


def test_one_that_never_reads_stops_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(address)
        manager = ServiceManager()
        for _ in range(MORE_THAN_ANY_QUEUE_HOLDS):
            manager.tell("WATCHDOG=1")
        assert deaf.recv(64) == b"WATCHDOG=1"
    manager.tell("STOPPING=1")
    if manager._socket is not None:
        manager._socket.close()


@pytest.mark.parametrize("address", ["vsock:2:1234", "relative/path"])
def test_an_address_of_another_kind_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)

    assert ServiceManager()._socket is None
