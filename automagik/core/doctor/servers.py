"""PostgreSQL and Redis: reachable, new enough, and set up as we need them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, select

from automagik.core.config import Settings
from automagik.core.database.exceptions import SchemaOutdated
from automagik.core.database.migrate import current, require_current
from automagik.core.doctor.check import Check, error, ok, warning
from automagik.core.facts import RedisFacts, opened, read_redis

OLDEST_REDIS = (6, 2)
LARGEST_SKEW = timedelta(seconds=2)
"""Times that this host writes into logs are off by as much; what is due is PostgreSQL's own."""


def check_database(settings: Settings) -> Iterator[Check]:
    with opened(settings) as database, database.transaction() as connection:
        before = datetime.now(UTC)
        version, there = connection.execute(
            select(func.current_setting("server_version"), func.clock_timestamp())
        ).one()
        took = datetime.now(UTC) - before
        yield ok("Database", f"PostgreSQL {version}, answers in {_ms(took)}")
        yield skew_check(there - (before + took / 2))
        yield _schema(connection)


def check_redis(settings: Settings) -> Iterator[Check]:
    yield from redis_checks(read_redis(settings))


def skew_check(skew: timedelta) -> Check:
    """The rule, for the clock of PostgreSQL less that of this host."""
    found = f"PostgreSQL is {skew.total_seconds():+.3f} s against this host"
    if abs(skew) <= LARGEST_SKEW:
        return ok("Clock", found)
    return warning("Clock", found, fix="Synchronize the clocks of both hosts by NTP.")


def redis_checks(facts: RedisFacts) -> Iterator[Check]:
    """The rules for Redis."""
    found = f"{facts.server.capitalize()} {facts.version}, answers in {_ms(facts.latency)}"
    numbers = tuple(int(part) for part in facts.redis_version.split(".")[:2] if part.isdigit())
    if numbers >= OLDEST_REDIS:
        yield ok("Redis", found)
    else:
        yield error("Redis", found, fix="Use Redis 6.2 or newer, or Valkey.")
    if facts.maxmemory_policy in (None, "noeviction"):
        yield ok("Redis memory", f"maxmemory-policy {facts.maxmemory_policy or 'not told'}")
    else:
        yield warning(
            "Redis memory",
            f"maxmemory-policy {facts.maxmemory_policy}: deliveries may be thrown away",
            fix="Set it: redis-cli config set maxmemory-policy noeviction",
        )


def _schema(connection: Connection) -> Check:
    try:
        require_current(connection)
    except SchemaOutdated as outdated:
        return error("Schema", outdated.message, fix=outdated.hint)
    return ok("Schema", f"at revision {current(connection)}")


def _ms(length: timedelta) -> str:
    return f"{length / timedelta(milliseconds=1):.1f} ms"
