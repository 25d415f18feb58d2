"""Conditions that several tables share."""

from collections.abc import Iterable

PRIORITY = "priority BETWEEN -1000 AND 1000"


def one_of(column: str, values: Iterable[str]) -> str:
    quoted = ", ".join(f"'{value}'" for value in values)
    return f"{column} IN ({quoted})"
