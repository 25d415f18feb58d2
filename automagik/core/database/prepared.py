"""Statements that PostgreSQL plans once for each connection.

For what happens many times a second: there planning takes longer than the work itself.
"""

import re
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg2
from sqlalchemy import Connection, Engine, event

# One that holds for any size of a table and any arguments: it follows the order of an index to what
# it looks for, whatever a table was like once.
_PLAN_ONCE = """
SET enable_seqscan = off; SET enable_sort = off; SET plan_cache_mode = force_generic_plan
"""
# Tables grow; and what is planned less often than this costs nothing.
_PLANS_LAST = timedelta(seconds=30)

_ARGUMENT = re.compile(r"(?<!:):([a-z_]+)")


class Prepared:
    """A statement with a name of its own.

    Args:
        sql: its arguments are written as `:name`.
        types: of all arguments, by their names.
    """

    def __init__(self, name: str, sql: str, /, **types: str) -> None:
        numbers = {argument: f"${number}" for number, argument in enumerate(types, start=1)}
        body = _ARGUMENT.sub(lambda found: numbers[found[1]], sql)
        self._name = name
        self._arguments = tuple(types)
        self._prepare = f"PREPARE {name} {_listed(types.values())} AS {body}"
        self._execute = f"EXECUTE {name} {_listed('%s' for _ in types)}"

    def run(self, connection: Connection, /, **arguments: Any) -> list[dict[str, Any]]:
        """The rows by the names of their columns.

        Past SQLAlchemy, which takes as long for a statement as PostgreSQL for a short one. It does
        not see the errors either: so no connection is used again after one.
        """
        values = [arguments[name] for name in self._arguments]
        raw: Any = connection.connection.dbapi_connection
        try:
            with raw.cursor() as cursor:
                self._prepare_in(connection.info, cursor)
                cursor.execute(self._execute, values)
                return _rows(cursor)
        except psycopg2.Error:
            connection.invalidate()
            connection.engine.dispose()
            raise

    def _prepare_in(self, session: dict[Any, Any], cursor: Any) -> None:
        now = time.monotonic()
        if now > session.setdefault("plans_last_until", now + _PLANS_LAST.total_seconds()):
            cursor.execute("DISCARD PLANS")
            session["plans_last_until"] = now + _PLANS_LAST.total_seconds()
        prepared = session.setdefault("prepared", set())
        if self._name not in prepared:
            cursor.execute(self._prepare)
            prepared.add(self._name)


def _rows(cursor: Any) -> list[dict[str, Any]]:
    if cursor.description is None:
        return []
    names = [column.name for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def plan_once(engine: Engine) -> None:
    """For connections whose prepared statements all come by indexes to what they look for."""

    @event.listens_for(engine, "connect")
    def plan_once(raw: Any, _: object) -> None:
        raw.autocommit = True
        with raw.cursor() as cursor:
            cursor.execute(_PLAN_ONCE)
        raw.autocommit = False


def uuids(values: Iterable[UUID]) -> str:
    """An array, as text: psycopg2 would take more time for each than PostgreSQL for all."""
    return f"{{{','.join(map(str, values))}}}"


def _listed(words: Iterable[str]) -> str:
    listed = ", ".join(words)
    return f"({listed})" if listed else ""
