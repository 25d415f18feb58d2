"""Pods without a cluster: what the chart says of a container, done to a process on this machine.

A namespace of its own gives it its hostname and a file system that is read-only but for /tmp,
another one the user's number; it has no capabilities, and nothing in its environment but what the
image and the manifest put there. Not as in a pod: the packages are those of the tests, not of the
image, the network is this machine's, and /tmp is another folder, by TMPDIR.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from automagik.core.embedded.processes import ChildProcess
from tests.deploy.chart import ROOT, Workload

SECRETS = "/etc/automagik/secrets"

# `$1` is the hostname, `$2` the folder that may be written to, `$3` the user.
_BOX = """
hostname "$1"
mount --bind "$2" "$2"
while read -r _ point _; do
    case $point in
        /proc*|/sys*|/dev*|"$2") ;;
        *) mount -o remount,bind,ro "$point" 2>/dev/null || true ;;
    esac
done < /proc/self/mounts
user=$3
shift 3
exec unshare --user --map-user="$user" --map-group="$user" -- setpriv --no-new-privs \
    --bounding-set=-all --inh-caps=-all -- "$@"
"""
_NAMESPACES = ("unshare", "--mount", "--uts", "--", "sh", "-ec", _BOX, "sh")


def pods_can_run() -> bool:
    """Whether this machine lets us make namespaces."""
    if os.geteuid():
        return False
    tried = [*_NAMESPACES, "a-pod", "/dev/null", "10001", "true"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


@dataclass(frozen=True, kw_only=True)
class Pod:
    """One of a workload.

    Args:
        folder: may be written to; holds /tmp.
        secrets: has a file for each secret, by the name of its variable.
        ports: of this machine, in place of those that the manifest names.
    """

    workload: Workload
    hostname: str
    folder: Path
    secrets: Path
    ports: Mapping[str, int]

    def start(self) -> ChildProcess:
        child = ChildProcess(
            self.hostname,
            [*self._box(), *self._own_ports(self.workload.container["args"])],
            log_path=self.folder / "log",
            env=self.environment(),
            cwd=self._tmp(),
        )
        child.start()
        return child

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """As `kubectl exec` and probes do."""
        return subprocess.run(
            [*self._box(), *command],
            env=self.environment() | environment,
            cwd=self._tmp(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def run_to_its_end(self) -> subprocess.CompletedProcess[str]:
        """What a Job and a test are for."""
        return self.run(*self.workload.container["args"])

    def startup(self) -> list[str]:
        probe: list[str] = self.workload.container["startupProbe"]["exec"]["command"]
        return probe

    def liveness(self) -> list[str]:
        probe: list[str] = self.workload.container["livenessProbe"]["exec"]["command"]
        return probe

    def environment(self) -> dict[str, str]:
        said = {each["name"]: self._value(each) for each in self.workload.container["env"]}
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin:/usr/sbin:/sbin",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "AUTOMAGIK_HOME": "/var/lib/automagik",
            # By the user's entry in the image.
            "HOME": "/var/lib/automagik",
            "TMPDIR": str(self._tmp()),
            **said,
        }

    def _value(self, variable: Mapping[str, object]) -> str:
        if "value" in variable:
            return str(variable["value"]).replace(SECRETS, str(self.secrets))
        return (self.secrets / str(variable["name"])).read_text()

    def _own_ports(self, words: Sequence[str]) -> list[str]:
        return [self._own_port(word) for word in words]

    def _own_port(self, word: str) -> str:
        name, equals, number = word.rpartition("=")
        return f"{name}{equals}{self.ports.get(number, number)}"

    def _box(self) -> list[str]:
        user = str(self.workload.pod["securityContext"]["runAsUser"])
        return [*_NAMESPACES, self.hostname, str(self._tmp()), user]

    def _tmp(self) -> Path:
        folder = self.folder / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
