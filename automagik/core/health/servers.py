"""PostgreSQL and Redis: reachable, new enough, and set up as we need them."""

import time
from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import Connection, func, select

from automagik.core.config import Settings
from automagik.core.database.exceptions import SchemaOutdated
from automagik.core.database.migrate import current, require_current
from automagik.core.health.check import Check, error, ok, warning
from automagik.core.health.facts import opened
from automagik.core.health.redis_facts import RedisFacts, read_redis
from automagik.core.tasks.host_clock import is_far_off, measured_offset

OLDEST_REDIS = (6, 2)
_MEGABYTE = 1_000_000
_FULL = 0.9


def check_database(settings: Settings) -> Iterator[Check]:
    with opened(settings) as database, database.transaction() as connection:
        started = time.perf_counter()
        version = connection.scalars(select(func.current_setting("server_version"))).one()
        took = timedelta(seconds=time.perf_counter() - started)
        yield ok("Database", f"PostgreSQL {version}, answers in {_ms(took)}")
        yield skew_check(measured_offset(connection))
        yield _schema(connection)


def check_redis(settings: Settings) -> Iterator[Check]:
    yield from redis_checks(read_redis(settings))


def skew_check(offset: float | None) -> Check:
    """The rule, for the seconds that this host's clock is ahead of PostgreSQL's."""
    if offset is None:
        return warning("Clock", "PostgreSQL answers too slowly to compare the clocks", fix=None)
    found = f"this host is {offset:+.3f} s against PostgreSQL"
    if is_far_off(offset):
        return warning("Clock", found, fix="Synchronize the clocks of both hosts by NTP.")
    return ok("Clock", found)


def redis_checks(facts: RedisFacts) -> Iterator[Check]:
    """The rules for Redis."""
    found = f"{facts.server.capitalize()} {facts.version}, answers in {_ms(facts.latency)}"
    numbers = tuple(int(part) for part in facts.redis_version.split(".")[:2] if part.isdigit())
    if numbers >= OLDEST_REDIS:
        yield ok("Redis", found)
    else:
        yield error("Redis", found, fix="Use Redis 6.2 or newer, or Valkey.")
    yield _memory(facts)
    yield _data(facts)


def _memory(facts: RedisFacts) -> Check:
    name, policy = "Redis memory", f"maxmemory-policy {facts.maxmemory_policy or 'not told'}"
    used = f"{facts.used_memory / _MEGABYTE:.1f} MB used, " if facts.used_memory else ""
    if facts.maxmemory_policy not in (None, "noeviction"):
        return warning(
            name,
            f"{policy}: deliveries may be thrown away",
            fix="Set it: redis-cli config set maxmemory-policy noeviction",
        )
    if facts.maxmemory and (facts.used_memory or 0) > _FULL * facts.maxmemory:
        fix = "Give it more, or look for what else is kept there."
        return warning(name, f"{used}of {facts.maxmemory / _MEGABYTE:.1f}", fix=fix)
    return ok(name, f"{used}{policy}")


def _data(facts: RedisFacts) -> Check:
    """Nothing is lost with Redis, so what it keeps on disk is only a matter of seconds."""
    name = "Redis data"
    if facts.last_save_failed:
        fix = "Make room on its disk, or switch saving off; its log says more."
        return warning(name, "it could not save, and may refuse to write", fix=fix)
    match facts.is_persistent:
        case True:
            return ok(name, "deliveries are kept through a restart")
        case False:
            return ok(name, "deliveries are gone by a restart, then sent again")
        case None:
            return ok(name, "it does not tell whether deliveries outlast a restart")


def _schema(connection: Connection) -> Check:
    try:
        require_current(connection)
    except SchemaOutdated as outdated:
        return error("Schema", outdated.message, fix=outdated.hint)
    return ok("Schema", f"at revision {current(connection)}")


def _ms(length: timedelta) -> str:
    return f"{length / timedelta(milliseconds=1):.1f} ms"
