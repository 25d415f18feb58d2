"""Running an embedded server for a test, and talking to it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg2
import redis

from automagik.core.embedded.server import EmbeddedServer


@contextmanager
def running(server: EmbeddedServer) -> Iterator[str]:
    try:
        yield server.start()
    finally:
        server.stop()


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if statement.startswith("SELECT") else []


def client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, decode_responses=True)
