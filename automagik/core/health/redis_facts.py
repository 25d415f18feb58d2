"""What Redis says of itself and of the ready-queues."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from automagik.core.config import Settings
from automagik.core.redis_client import redis_client


@dataclass(frozen=True, kw_only=True, slots=True)
class RedisFacts:
    """What Redis says."""

    server: str
    """`redis`, or what is compatible with it, such as `valkey`."""
    version: str
    redis_version: str
    """The version of Redis that it behaves like."""
    latency: timedelta
    maxmemory_policy: str | None
    """None when the server does not tell. So with what follows."""
    ready: int
    """How many deliveries wait for a worker, in the queues that were asked about."""
    used_memory: int | None = None
    maxmemory: int | None = None
    """0: as much as there is."""
    is_persistent: bool | None = None
    """Whether what is in it survives a restart of it."""
    last_save_failed: bool = False


def read_redis(settings: Settings, *, queues: Sequence[str] = ()) -> RedisFacts:
    """Raises RedisUnreachable and ConfigurationError."""
    with redis_client(settings) as client:
        return _ask(client, queues)


def _ask(client: Redis, queues: Sequence[str]) -> RedisFacts:
    started = time.perf_counter()
    client.ping()
    latency = timedelta(seconds=time.perf_counter() - started)
    about: Any = client.info()
    lengths: Any = [client.llen(queue) for queue in queues]
    return RedisFacts(
        server=str(about.get("server_name", "redis")),
        version=str(about.get("valkey_version", about["redis_version"])),
        redis_version=str(about["redis_version"]),
        latency=latency,
        maxmemory_policy=about.get("maxmemory_policy"),
        ready=sum(lengths),
        used_memory=about.get("used_memory"),
        maxmemory=about.get("maxmemory"),
        is_persistent=_is_persistent(client, about),
        last_save_failed=about.get("rdb_last_bgsave_status") == "err",
    )


def _is_persistent(client: Redis, about: Any) -> bool | None:
    """None where the configuration is not told, as by hosted servers."""
    if about.get("aof_enabled"):
        return True
    try:
        saving: Any = client.config_get("save")
    except ResponseError:
        return None
    return bool(saving.get("save"))
