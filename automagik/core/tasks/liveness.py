"""Whether the beat and the workers of a host give signs of life: asked every few seconds.

By psycopg2 alone: with SQLAlchemy each answer would take half as much time again. The revision of
the schema does not matter, so that workers of the version before stay healthy during an upgrade.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg2
from psycopg2.errors import UndefinedTable

from automagik.core.config import Settings
from automagik.core.database.exceptions import SchemaOutdated
from automagik.core.tasks.exceptions import NotAlive

LIVE_LEASES = 2
"""Who gave no sign of life for so many leases is gone."""

# Who asks gives up after a few seconds, and asks again.
_PATIENCE_SECONDS = 5

# Containers and hosts that start again leave rows behind: the freshest speaks for the host.
_BEAT = """
SELECT 'beat@' || hostname AS name, now() - last_tick_at AS age,
    stopped_at IS NULL AND last_tick_at > now() - %(silence)s AS is_live
FROM beats WHERE hostname = %(host)s
ORDER BY is_live DESC, last_tick_at DESC LIMIT 1
"""
_WORKER = """
SELECT name, now() - heartbeat_at AS age,
    status IN ('online', 'draining') AND heartbeat_at > now() - %(silence)s AS is_live
FROM workers WHERE hostname = %(host)s AND (%(name)s::text IS NULL OR name = %(name)s)
ORDER BY is_live DESC, heartbeat_at DESC LIMIT 1
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class SignOfLife:
    """The last one, by PostgreSQL's clock."""

    name: str
    age: timedelta


def beat_of(settings: Settings, *, host: str) -> SignOfLife:
    """Raises NotAlive, DatabaseUnreachable, SchemaOutdated, ConfigurationError."""
    return _alive(settings, _BEAT, {"host": host}, f"a beat on the host {host}")


def worker_of(settings: Settings, *, host: str, name: str | None = None) -> SignOfLife:
    """The worker of this name, or any. Raises as `beat_of` does."""
    who = f"the worker {name}" if name else "a worker"
    return _alive(settings, _WORKER, {"host": host, "name": name}, f"{who} on the host {host}")


def _alive(settings: Settings, query: str, about: Mapping[str, Any], who: str) -> SignOfLife:
    silence = LIVE_LEASES * timedelta(seconds=settings.lease_seconds)
    row = _asked(settings.require_database_url(), query, {**about, "silence": silence})
    if row is None:
        raise NotAlive(f"PostgreSQL knows nothing of {who}.")
    name, age, is_live = row
    if not is_live:
        ago = age.total_seconds()
        raise NotAlive(
            f"{name} has stopped or is silent: its last sign of life is {ago:.0f} s old."
        )
    return SignOfLife(name=name, age=age)


def _asked(url: str, query: str, values: Mapping[str, Any]) -> Any:
    """The first row, or None."""
    try:
        with closing(_connected(url)) as connection, connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchone()
    except UndefinedTable as error:
        raise SchemaOutdated("The database is empty.", hint="Run: automagik db init") from error
    except psycopg2.Error as error:
        # It comes with SQLAlchemy, and most checks go well.
        from automagik.core.database.trouble import trouble_of

        raise trouble_of(error) or error from error


def _connected(url: str) -> Any:
    return psycopg2.connect(
        f"postgresql://{url.partition('://')[2]}",
        application_name="automagik check",
        connect_timeout=_PATIENCE_SECONDS,
        tcp_user_timeout=_PATIENCE_SECONDS * 1000,
        options=f"-c statement_timeout={_PATIENCE_SECONDS}s",
    )
