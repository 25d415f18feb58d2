"""A connection to Redis for one look."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from redis import Redis
from redis.exceptions import RedisError

from automagik.core.config import Settings
from automagik.core.exceptions import ConfigurationError, RedisUnreachable

_TIMEOUT_SECONDS = 3


@contextmanager
def redis_client(settings: Settings) -> Iterator[Redis]:
    """Raises ConfigurationError, and RedisUnreachable, in the block too."""
    try:
        with closing(
            Redis.from_url(
                settings.require_redis_url(),
                socket_timeout=_TIMEOUT_SECONDS,
                socket_connect_timeout=_TIMEOUT_SECONDS,
            )
        ) as client:
            yield client
    except RedisError as error:
        raise RedisUnreachable(f"Redis does not answer: {error}") from error
    except ValueError as error:
        raise ConfigurationError(
            f"REDIS_URL is not a URL of Redis: {error}", hint="Write redis://host:6379/0"
        ) from error
