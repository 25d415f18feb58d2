"""Finding one row by what a person types: a name, an id, or the beginning of an id."""

import re
from collections.abc import Collection
from difflib import get_close_matches
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, select

from automagik.core.exceptions import Ambiguous, NotFound

_HEX = re.compile(r"[0-9a-f]{4,32}")
_SHOWN = 5


def find(
    connection: Connection, row: Any, reference: str, *, noun: str, hint: str | None = None
) -> UUID:
    """The id of the row that a reference means, exact name first.

    `row` is a mapped class, with a `name` or without. Raises NotFound with the nearest names, or
    with the hint where no name is near, and Ambiguous with the candidates.
    """
    reference = reference.strip()
    found = _by_name(connection, row, reference) or _by_id(connection, row, reference)
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(str(i) for i in found[:_SHOWN])
        raise Ambiguous(f"{noun.capitalize()} {reference!r} could be any of: {shown}")
    raise NotFound(
        f"There is no {noun} {reference!r}.",
        hint=_suggestion(connection, row, reference)
        or hint
        or f"See which there are with: automagik {noun}s list",
    )


def find_or_newest(connection: Connection, row: Any, reference: str, *, noun: str) -> UUID:
    """As `find`; `@last` means the newest one. Raises NotFound also when there is none yet."""
    if reference.strip() == "@last":
        return _newest(connection, row, noun=noun)
    return find(connection, row, reference, noun=noun)


def _newest(connection: Connection, row: Any, *, noun: str) -> UUID:
    found: UUID | None = connection.scalar(select(row.id).order_by(row.id.desc()).limit(1))
    if found is None:
        raise NotFound(f"There is no {noun} yet.")
    return found


def _by_name(connection: Connection, row: Any, reference: str) -> list[UUID]:
    if not hasattr(row, "name"):
        return []
    exact = select(row.id).where(row.name == reference)
    in_any_case = select(row.id).where(func.lower(row.name) == reference.lower())
    return list(connection.scalars(exact)) or list(connection.scalars(in_any_case))


def _by_id(connection: Connection, row: Any, reference: str) -> list[UUID]:
    digits = reference.lower().replace("-", "")
    if not _HEX.fullmatch(digits):
        return []
    # A range, so that the primary key's index answers.
    first, last = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
    query = select(row.id).where(row.id.between(first, last)).order_by(row.id).limit(_SHOWN + 1)
    return list(connection.scalars(query))


def _suggestion(connection: Connection, row: Any, reference: str) -> str | None:
    if not hasattr(row, "name"):
        return None
    return nearest(reference, set(connection.scalars(select(row.name).limit(10_000))))


def nearest(reference: str, names: Collection[str]) -> str | None:
    """A question with the names that look like the reference; None when none does."""
    close = get_close_matches(reference, names, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(repr(name) for name in close)}?" if close else None
