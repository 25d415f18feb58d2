"""Hosts of a network of their own: network namespaces at one bridge, each with its own cable.

A host has an address and a name, and shares the rest with this machine. This process is at the
bridge, too, and reaches all of them. Root and iproute2 are needed.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from automagik.core.embedded.accounts import Account
from automagik.core.embedded.postgres import EmbeddedPostgres
from automagik.core.embedded.processes import ChildProcess
from automagik.core.embedded.redis_server import EmbeddedRedis

NETWORK = "10.77"
PREFIX = "automagik"
_OURS = re.compile(rf"{PREFIX}(\d+)")
_NAMED = 'hostname "$0" && exec "$@"'
NEEDED = ("ip", "unshare", "setpriv", "hostname")


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """`cable`: the end of its link at the bridge."""

    name: str
    namespace: str
    address: str
    cable: str

    def on(self, *argv: str, account: Account | None = None) -> tuple[str, ...]:
        """The command that runs another one on this host. The process stays the same one."""
        who = _as(account) if account else ()
        where = ("ip", "netns", "exec", self.namespace, "unshare", "--uts")
        return (*where, "sh", "-c", _NAMED, self.name, *who, *argv)

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """What is sent to it and by it vanishes, and nobody is told."""
        _ip("link", "set", self.cable, "down")
        try:
            yield
        finally:
            _ip("link", "set", self.cable, "up")


@contextmanager
def hosts(*names: str) -> Iterator[Mapping[str, Host]]:
    """Skips the test where such a network cannot be made."""
    _require_the_means()
    _remove_abandoned()
    bridge = f"{PREFIX}{os.getpid()}"
    with _bridge(bridge) as subnet:
        found: dict[str, Host] = {}
        try:
            for number, name in enumerate(names, 2):
                found[name] = _host(name, bridge, number=number, subnet=subnet)
            yield found
        finally:
            for host in found.values():
                _ip("netns", "delete", host.namespace)


class PostgresOn(EmbeddedPostgres):
    """Listens on its host's address alone."""

    def __init__(self, home: Path, host: Host, *, options: Mapping[str, str]) -> None:
        super().__init__(home, options={**options, "listen_addresses": host.address})
        self._host = host

    @property
    def _address(self) -> str:
        return f"{self._host.address}:{self._known['port']}"

    def _prepare(self, program: Path) -> None:
        super()._prepare(program)
        with (self.data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet scram-sha-256\n")

    def _child(self, program: Path, port: int) -> ChildProcess:
        return _moved(super()._child(program, port), self._host, account=self._account)


class RedisOn(EmbeddedRedis):
    """Listens on its host's address alone."""

    def __init__(self, home: Path, host: Host) -> None:
        super().__init__(home)
        self._host = host

    @property
    def _address(self) -> str:
        return f"{self._host.address}:{self._known['port']}"

    def _child(self, program: Path, port: int) -> ChildProcess:
        child = super()._child(program, port)
        child.argv = (*child.argv, "--bind", self._host.address)
        return _moved(child, self._host, account=self._account)


def _moved(child: ChildProcess, host: Host, *, account: Account | None) -> ChildProcess:
    """Only root enters a namespace, so the account is taken afterwards."""
    child.argv = host.on(*child.argv, account=account)
    child._account = None
    return child


def _as(account: Account) -> tuple[str, ...]:
    who = (f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups")
    return ("setpriv", *who, "--")


def _require_the_means() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes network namespaces")
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")


@contextmanager
def _bridge(name: str) -> Iterator[str]:
    """Gives the first three numbers of its network."""
    subnet = _free_subnet()
    try:
        _ip("link", "add", name, "type", "bridge")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no bridge can be made here: {error.stderr.strip()}")
    try:
        _ip("addr", "add", f"{subnet}.1/24", "dev", name)
        _ip("link", "set", name, "up")
        yield subnet
    finally:
        _ip("link", "delete", name)


def _free_subnet() -> str:
    known = {
        address["local"].rpartition(".")[0]
        for link in json.loads(_ip("-json", "-4", "addr", "show"))
        for address in link["addr_info"]
    }
    return next(net for net in (f"{NETWORK}.{n}" for n in range(256)) if net not in known)


def _host(name: str, bridge: str, *, number: int, subnet: str) -> Host:
    # An interface has at most 15 characters.
    cable = f"am{os.getpid()}x{number}"
    host = Host(name=name, namespace=f"{bridge}-{name}", address=f"{subnet}.{number}", cable=cable)
    inside = ("-netns", host.namespace)
    _ip("netns", "add", host.namespace)
    _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
    _ip("link", "set", cable, "master", bridge, "up")
    _ip(*inside, "addr", "add", f"{host.address}/24", "dev", "eth0")
    for interface in ("lo", "eth0"):
        _ip(*inside, "link", "set", interface, "up")
    return host


def _remove_abandoned() -> None:
    """Of test sessions that were killed; a namespace goes with its last process."""
    for kind, names in (("netns", _namespaces()), ("link", _bridges())):
        for name in names:
            found = _OURS.match(name)
            if found and not psutil.pid_exists(int(found[1])):
                with suppress(subprocess.CalledProcessError):  # Another session was faster.
                    _ip(kind, "delete", name)


def _namespaces() -> Sequence[str]:
    return [line.split()[0] for line in _ip("netns", "list").splitlines() if line]


def _bridges() -> Sequence[str]:
    return [link["ifname"] for link in json.loads(_ip("-json", "link", "show", "type", "bridge"))]


def _ip(*words: str) -> str:
    """Raises subprocess.CalledProcessError."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=True)
    return done.stdout
