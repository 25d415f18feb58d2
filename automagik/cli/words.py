"""Options whose words come from a closed set: one after another, or separated by commas."""

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import TypeVar

from automagik.core.exceptions import InvalidInput

_Word = TypeVar("_Word", bound=StrEnum)


def chosen(said: Sequence[str] | None, kind: type[_Word], *, noun: str) -> tuple[_Word, ...]:
    """Each word once. Raises InvalidInput with the nearest word and all there are."""
    words = [word.strip().lower() for each in said or () for word in each.split(",")]
    for word in words:
        require_known(word, [each.value for each in kind], noun=noun)
    return tuple(kind(word) for word in dict.fromkeys(words))


def require_known(word: str, known: Collection[str], *, noun: str) -> None:
    """Raises InvalidInput with the nearest word and all there are."""
    if word in known:
        return
    from automagik.core.database.lookup import nearest

    close = nearest(word, known)
    there_are = f"There are {', '.join(known)}."
    raise InvalidInput(
        f"There is no {noun} {word!r}.", hint=f"{close} {there_are}" if close else there_are
    )
