"""What the transport adds to kombu's, on a real Redis."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from uuid import uuid4

import pytest
import redis
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


def test_a_worker_takes_at_once_what_it_has_room_for_and_redis_keeps_the_rest(
    own_redis: EmbeddedRedis,
) -> None:
    with consuming(own_redis.url, prefetch=5) as (connection, taken):
        deliver(own_redis.url, 9)
        with redis.Redis.from_url(own_redis.url) as client:
            connection.drain_events(timeout=10)
            assert (len(taken), client.llen("waiting")) == (5, 4)

            for message in taken[:3]:
                message.ack()
            connection.drain_events(timeout=10)
            assert (len(taken), client.llen("waiting")) == (8, 1)
            assert client.keys("unacked*") == []


def test_an_acknowledgement_wakes_the_loop_only_when_it_takes_nothing(
    own_redis: EmbeddedRedis,
) -> None:
    with consuming(own_redis.url, prefetch=1) as (connection, taken):
        connection.transport.loop = loop = Mock()
        deliver(own_redis.url, 2)
        connection.drain_events(timeout=10)
        taken[0].ack()
        assert loop.call_soon.call_count == 1

        connection.drain_events(timeout=10)
        taken[1].ack()
        connection.transport.cycle.on_poll_start()
        loop.reset_mock()
        taken[1].channel.basic_ack("of long ago")
        assert loop.call_soon.call_count == 0

    taken[1].channel.basic_ack("of a run that outlived the connection")
    assert loop.call_soon.call_count == 0


@contextmanager
def consuming(redis_url: str, *, prefetch: int) -> Iterator[tuple[Any, list[Any]]]:
    """A connection of a worker, and the messages that it has taken."""
    connect: Any = Connection
    taken: list[Any] = []
    with connect(redis_url, transport="workers.transport:Transport") as connection:
        channel = connection.default_channel
        channel.basic_qos(prefetch_count=prefetch)
        channel.queue_declare("waiting")
        channel.basic_consume("waiting", no_ack=False, callback=taken.append, consumer_tag="me")
        yield connection, taken


def deliver(redis_url: str, count: int) -> None:
    with redis.Redis.from_url(redis_url) as client:
        for _ in range(count):
            client.rpush("waiting", json.dumps({"headers": {"id": str(uuid4())}}))
