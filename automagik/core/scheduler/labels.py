"""Labels of schedules: words that people group them by."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from automagik.core.exceptions import InvalidInput

_KEY = re.compile(r"[A-Za-z0-9._/-]{1,63}")
_LONGEST_VALUE = 63


@dataclass(frozen=True, kw_only=True, slots=True)
class UnsetLabel:
    """A label that a schedule shall not have any more."""

    key: str | None
    """None: all labels."""


def parse_labels(texts: Iterable[str]) -> dict[str, str]:
    """Of `team=ops` and `nightly`, which has an empty value; the last of a key counts.

    Raises InvalidInput.
    """
    pairs = (text.partition("=") for text in texts)
    return checked_labels({key.strip(): value.strip() for key, _, value in pairs})


def wanted_labels(texts: Iterable[str]) -> dict[str, str | None]:
    """Of `team=ops` and `team`, which asks for no value: None. Raises InvalidInput."""
    said = list(texts)
    bare = {text.strip() for text in said if "=" not in text}
    return {key: None if key in bare else value for key, value in parse_labels(said).items()}


def checked_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Raises InvalidInput."""
    for key, value in labels.items():
        if not _KEY.fullmatch(key):
            raise InvalidInput(
                f"{key!r} is no key for a label.",
                hint="It takes up to 63 of A-Z, a-z, 0-9 and ._/-, as in team=ops or nightly.",
            )
        if len(value) > _LONGEST_VALUE or not value.isprintable():
            raise InvalidInput(
                f"The label {key} cannot have the value {value!r}.",
                hint=f"It takes up to {_LONGEST_VALUE} printable characters.",
            )
    return dict(labels)


def changed_labels(
    labels: Mapping[str, str], new: Mapping[str, str], unset: Iterable[UnsetLabel]
) -> dict[str, str]:
    """What is unset goes first, what is new replaces what has its key. Raises InvalidInput."""
    gone = {each.key for each in unset}
    kept = {} if None in gone else {key: v for key, v in labels.items() if key not in gone}
    return kept | checked_labels(new)


def in_words(labels: Mapping[str, str]) -> str:
    """`nightly, team=ops`."""
    return ", ".join(f"{key}={value}" if value else key for key, value in sorted(labels.items()))
