"""Pieces of the sentences that rules are described with."""

from collections.abc import Iterable


def join(items: Iterable[str]) -> str:
    """`a, b and c`; there is at least one."""
    found = list(items)
    return " and ".join(filter(None, (", ".join(found[:-1]), found[-1])))


def every(interval: int, noun: str) -> str:
    """`every day`, `every 3 days`."""
    return f"every {noun}" if interval == 1 else f"every {interval} {noun}s"


def ordinal(number: int) -> str:
    """`3rd`; from the end, -1, `last` and `2nd last`."""
    if number == -1:
        return "last"
    if number < 0:
        return f"{ordinal(-number)} last"
    is_plain = 10 <= number % 100 <= 20
    return f"{number}{'th' if is_plain else _ENDINGS.get(number % 10, 'th')}"


_ENDINGS = {1: "st", 2: "nd", 3: "rd"}
