"""What happens to servers and processes, for whoever wants to tell the user."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A server that the settings name: it was neither started nor tried."""

    name: str
    url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """It answers; without a check it has only been started. No URL shows its password."""

    name: str
    seconds: float
    url: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Died:
    """It ended by itself. `restart_in` (seconds) is None when it will not be started again."""

    name: str
    how: str
    log_tail: str
    log_path: Path
    restart_in: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Restarted:
    """It runs again, `times` counts the restarts in a row."""

    name: str
    times: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopping:
    """It was asked to stop."""

    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """It has ended because it was asked to."""

    name: str
    how: str
    seconds: float


Fact = Given | Ready | Died | Restarted | Stopping | Stopped
Tell = Callable[[Fact], None]


def without_password(url: str) -> str:
    parts = urlsplit(url)
    user, separator, _ = parts.netloc.rpartition("@")
    if not separator:
        return url
    shown = f"{user.partition(':')[0]}:***@" if ":" in user else f"{user}@"
    return parts._replace(netloc=shown + parts.netloc.rpartition("@")[2]).geturl()
