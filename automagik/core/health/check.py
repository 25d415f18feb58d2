"""What a check says."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from automagik.core.config import Settings


class Verdict(StrEnum):
    """How it stands with one thing."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    found: str
    fix: str | None = None
    """What to do; None when nothing is to be done."""


CheckGroup = Callable[[Settings], Iterator[Check]]
"""Looks at things that belong together. May raise: that ends this group only."""


def ok(name: str, found: str) -> Check:
    return Check(name=name, verdict=Verdict.OK, found=found)


def warning(name: str, found: str, *, fix: str | None) -> Check:
    return Check(name=name, verdict=Verdict.WARNING, found=found, fix=fix)


def error(name: str, found: str, *, fix: str | None) -> Check:
    return Check(name=name, verdict=Verdict.ERROR, found=found, fix=fix)
