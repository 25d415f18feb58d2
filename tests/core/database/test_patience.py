"""A PostgreSQL that says nothing is given up, and one that works for long is not."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta

import psycopg2
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from automagik.core.config import Settings
from automagik.core.database import patience, session
from automagik.core.database.exceptions import DatabaseBusy, DatabaseUnreachable
from automagik.core.database.migrate import upgrade
from automagik.core.database.session import WAKE, Database, Listener
from tests.system.proxy import LOOPBACK, Proxy, proxied

SHORT, SHORTER = timedelta(seconds=0.5), timedelta(seconds=0.4)
NO_BYTE = r"PostgreSQL does not answer: not a byte within 0\.5 s"
SHOW = text("SELECT current_setting(:name)")


@pytest.fixture
def silence(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Proxy, str]]:
    """A way to the database that can fall silent, and little patience."""
    monkeypatch.setattr(patience.PatientConnection, "patience", SHORT)
    monkeypatch.setattr(patience, "CONNECT_PATIENCE", SHORTER)
    monkeypatch.setattr(session, "_ASK_EVERY", timedelta(seconds=0.1))
    with proxied(settings.require_database_url()) as way:
        yield way


def test_a_statement_gives_up_and_the_next_connects_anew(silence: tuple[Proxy, str]) -> None:
    proxy, url = silence
    with _opened(url) as database:
        _ask(database)
        proxy.swallow()
        with pytest.raises(DatabaseUnreachable, match=NO_BYTE):
            _ask(database)
        proxy.forward()
        _ask(database)


def test_connecting_gives_up(silence: tuple[Proxy, str]) -> None:
    proxy, url = silence
    proxy.swallow()
    no_byte = NO_BYTE.replace("5", "4")
    with _opened(url) as database, pytest.raises(DatabaseUnreachable, match=no_byte):
        _ask(database)
    with pytest.raises(DatabaseUnreachable, match=no_byte):
        upgrade(url)


def test_a_listener_gives_up(silence: tuple[Proxy, str]) -> None:
    """It would hear nothing for ever, and nobody would notice."""
    proxy, url = silence
    with _opened(url) as database, database.listen(WAKE) as listener:
        assert listener.wait(timedelta(seconds=0.2)) == []
        assert listener.wait(timedelta()) == []
        proxy.swallow()
        with pytest.raises(DatabaseUnreachable, match=NO_BYTE):
            _listen_for_ever(listener)


def test_a_long_statement_is_waited_for(silence: tuple[Proxy, str]) -> None:
    _, url = silence
    with _opened(url) as database:
        with database.long_transaction() as connection:
            connection.execute(text("SELECT pg_sleep(0.8)"))
        with pytest.raises(DatabaseUnreachable, match=NO_BYTE), database.transaction() as it:
            it.execute(text("SELECT pg_sleep(0.8)"))


def test_the_server_gives_up_too(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """So nothing goes on there that nobody waits for, and no lock stays behind."""
    monkeypatch.setattr(patience, "_STATEMENT_LIMIT", "300ms")
    url = settings.require_database_url()
    with _opened(url) as database:
        with pytest.raises(DatabaseBusy), database.transaction() as connection:
            connection.execute(text("SELECT pg_sleep(5)"))
        with database.transaction() as connection:
            limits = ("statement_timeout", "idle_in_transaction_session_timeout")
            shown = [connection.scalar(SHOW, {"name": name}) for name in limits]
    assert shown == ["300ms", "1min"]


def test_limits_of_the_administrator_stay(settings: Settings) -> None:
    url = settings.require_database_url()
    name = make_url(url).database
    with _opened(url) as database, database.transaction() as connection:
        connection.execute(text(f"ALTER DATABASE {name} SET statement_timeout = '7s'"))
    with _opened(url) as database, database.transaction() as connection:
        assert connection.scalar(SHOW, {"name": "statement_timeout"}) == "7s"


def test_the_next_host_is_tried_when_the_first_has_vanished(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes no connection, like a host without power; the kernel gives up before we do."""
    monkeypatch.setitem(patience._CONNECT_ARGS, "tcp_user_timeout", 1000)
    url = make_url(settings.require_database_url())
    with _vanished_host() as port:
        hosts = {"host": [f"{LOOPBACK}:{port}", f"{url.host}:{url.port}"]}
        both = url._replace(host=None, port=None).update_query_dict(hosts)
        with _opened(both.render_as_string(hide_password=False)) as database:
            _ask(database)


def test_connections_of_others_wait_as_ever(silence: tuple[Proxy, str]) -> None:
    _, url = silence
    with _opened(url) as database:
        _ask(database)
    plain = url.replace("+psycopg2", "")
    with closing(psycopg2.connect(plain)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.8)")


@contextmanager
def _opened(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.dispose()


def _ask(database: Database) -> None:
    with database.transaction() as connection:
        assert connection.scalar(text("SELECT 1")) == 1


def _listen_for_ever(listener: Listener) -> None:
    while True:
        listener.wait(timedelta(seconds=0.05))


@contextmanager
def _vanished_host() -> Iterator[int]:
    """A port whose queue is full, so that the kernel drops who wants to connect."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((LOOPBACK, 0), backlog=0))
        port = listener.getsockname()[1]
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.settimeout(0)
            client.connect_ex((LOOPBACK, port))
        yield port
