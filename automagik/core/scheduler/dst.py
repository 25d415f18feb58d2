"""What becomes of wall times that a change of clocks leaves out or shows twice."""

from dataclasses import dataclass
from enum import StrEnum


class Gap(StrEnum):
    """A wall time that is left out occurs at the end of the gap, or not at all."""

    NEXT = "next"
    SKIP = "skip"


class Fold(StrEnum):
    """A wall time that is shown twice occurs when it is shown first, or both times."""

    FIRST = "first"
    BOTH = "both"


@dataclass(frozen=True, kw_only=True, slots=True)
class Dst:
    """Holds for every change of offset of a zone, not for daylight saving alone."""

    gap: Gap = Gap.NEXT
    fold: Fold = Fold.FIRST


DEFAULT = Dst()
ELAPSED = Dst(gap=Gap.SKIP, fold=Fold.BOTH)
"""Rules such as "every quarter of an hour": real time counts, whatever clocks show."""
