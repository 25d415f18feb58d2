"""What the transport adds to kombu's, on a real Redis."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from kombu.connection import Connection

from automagik.core.embedded.redis_server import EmbeddedRedis


@pytest.fixture
def own_redis(embedded_home: Path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(embedded_home)
    server.start()
    yield server
    server.stop()


def test_a_busy_connection_that_is_lost_can_be_closed(own_redis: EmbeddedRedis) -> None:
    """A worker does exactly this before it connects anew; any other error would be its end.

    It holds a message that is not acknowledged, and waits for Redis with more than one channel.
    """
    connect: Any = Connection
    connection = connect(own_redis.url, transport="workers.transport:Transport")
    channels = [connection.default_channel, connection.channel()]
    for channel in channels:
        name = f"queue-{channel.channel_id}"
        channel.queue_declare(name)
        channel.basic_consume(name, no_ack=False, callback=print, consumer_tag=name)
    taken = f"queue-{channels[0].channel_id}"
    connection.Producer().publish({}, routing_key=taken)
    assert channels[0].basic_get(taken, no_ack=False) is not None
    connection.transport.cycle.on_poll_start()
    assert all(channel._in_poll for channel in channels)
    assert own_redis.child is not None
    assert own_redis.child.pid is not None
    os.kill(own_redis.child.pid, signal.SIGKILL)
    own_redis.child.wait()

    with suppress(*connection.connection_errors):
        connection.collect(socket_timeout=1)
    with suppress(*connection.connection_errors):
        connection.close()
