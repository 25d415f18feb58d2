"""One task per idempotency key, however often and from how many places it is asked for."""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects.postgresql import insert

from automagik.core.database.models import TaskRow
from automagik.core.exceptions import Conflict, InvalidInput

_LONGEST = 200
_SAME = {
    "flow_id": "another flow",
    "input_value": "another input",
    "tweaks": "other tweaks",
    "session_id": "another session",
}
"""The columns that make two requests the same, and what is said when they differ."""


def checked_key(key: str | None) -> str | None:
    """Raises InvalidInput."""
    if key is None or (key.strip() and key.isprintable() and len(key) <= _LONGEST):
        return key
    raise InvalidInput(
        "The idempotency key is not valid.",
        hint=f"It takes 1 to {_LONGEST} printable characters, not blanks alone.",
    )


def add_once(connection: Connection, columns: dict[str, Any]) -> tuple[UUID, bool]:
    """The id of the task with the key in these columns, and whether it is new.

    Without a key it is always new. Raises Conflict when the key's task is another run.
    """
    # Waits while another transaction is about to insert the same key.
    statement = (
        insert(TaskRow)
        .values(**columns)
        .on_conflict_do_nothing(
            index_elements=["idempotency_key"], index_where=TaskRow.idempotency_key.is_not(None)
        )
        .returning(TaskRow.id)
    )
    while True:
        task_id = connection.scalars(statement).one_or_none()
        if task_id is not None:
            return task_id, True
        known = _with_key(connection, columns["idempotency_key"])
        # None when it was deleted in between.
        if known is not None:
            _require_same(known, columns)
            return known.id, False


def _with_key(connection: Connection, key: str) -> Row[Any] | None:
    compared = (getattr(TaskRow, name) for name in _SAME)
    query = select(TaskRow.id, *compared).where(TaskRow.idempotency_key == key)
    return connection.execute(query).one_or_none()


def _require_same(known: Row[Any], columns: dict[str, Any]) -> None:
    other = [word for name, word in _SAME.items() if getattr(known, name) != columns[name]]
    if other:
        raise Conflict(
            f"The idempotency key {columns['idempotency_key']!r} belongs to task {known.id},"
            f" which has {' and '.join(other)}.",
            hint=f"Give a new run a new key, or look at: automagik tasks show {known.id}",
        )
