"""Under which user the servers run. PostgreSQL refuses root, so root lends them another account."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from automagik.core.embedded.exceptions import EmbeddedError

UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """A user other than the one of this process."""

    name: str
    uid: int
    gid: int

    def own(self, path: Path) -> None:
        os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def can_run(self, *argv: str | Path) -> bool:
        """Whether this account may read and execute what is named, and it exits with 0."""
        try:
            return run_as(self, *argv).returncode == 0
        except OSError:
            return False

    def require_path(self, folder: Path) -> None:
        """Raises EmbeddedError when this account cannot reach what is inside the folder."""
        if self.can_run("/bin/sh", "-c", 'test -x "$1"', "sh", folder):
            return
        raise EmbeddedError(
            f"The user {self.name}, under which root starts the servers, cannot enter {folder}.",
            hint="Choose a folder that others may pass through, with AUTOMAGIK_HOME.",
        )


def run_as(
    account: Account | None, *argv: str | Path, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Runs a short command to its end, in an environment without our secrets."""
    return subprocess.run(
        argv,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        cwd="/",
        env=server_environment(),
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def server_environment() -> dict[str, str]:
    """Servers need nothing of ours, and what they do not get they cannot leak."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def server_account() -> Account | None:
    """The account for the servers; None is the user of this process.

    Raises EmbeddedError for root without such an account, and for a user without a name, which
    PostgreSQL does not accept either.
    """
    uid = os.geteuid()
    if uid == 0:
        return _unprivileged()
    try:
        pwd.getpwuid(uid)
    except KeyError:
        raise EmbeddedError(
            f"The user id {uid} has no entry in /etc/passwd; PostgreSQL does not start without.",
            hint="Run as a user with a name, or set DATABASE_URL and REDIS_URL.",
        ) from None
    return None


def _unprivileged() -> Account:
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise EmbeddedError(
        f"PostgreSQL does not run as root, and there is no user {' or '.join(UNPRIVILEGED)}.",
        hint="Run as another user, or set DATABASE_URL and REDIS_URL.",
    )
