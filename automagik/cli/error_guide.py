"""What each error code means, where it usually comes from, and what to do."""

import pkgutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from automagik.cli import texts

if TYPE_CHECKING:
    from automagik.core.exceptions import AutomagikError

_CAUSES, _REMEDIES = "Usual causes:", "What to do:"
# Modules of other names that have errors of their own.
_ALSO = ("automagik.core.encryption", "automagik.core.manifest.problems")


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorHelp:
    """One code."""

    code: str
    meaning: str
    """In one sentence."""
    exit_code: int | None
    """None: no command ends with it, only tasks do."""
    http_status: int | None
    details: str
    causes: Sequence[str]
    remedies: Sequence[str]


def error_codes() -> list[str]:
    return list(texts.sections("error-codes"))


def error_guide() -> dict[str, ErrorHelp]:
    """By code, in alphabetical order."""
    kinds = error_classes()
    found = texts.sections("error-codes")
    return {code: _explained(code, found[code], kinds.get(code)) for code in sorted(found)}


def error_classes() -> "dict[str, type[AutomagikError]]":
    """By code; where several share one, that of which the others are kinds."""
    import automagik.core
    from automagik.core.exceptions import AutomagikError

    for module in pkgutil.walk_packages(automagik.core.__path__, "automagik.core."):
        if module.name.endswith(".exceptions") or module.name in _ALSO:
            import_module(module.name)
    found: dict[str, type[AutomagikError]] = {}
    for kind in _tree(AutomagikError):
        found.setdefault(kind.code, kind)
    return found


def _tree(kind: "type[AutomagikError]") -> "Iterator[type[AutomagikError]]":
    yield kind
    for child in kind.__subclasses__():
        yield from _tree(child)


def _explained(code: str, text: str, kind: "type[AutomagikError] | None") -> ErrorHelp:
    details, _, rest = text.partition(_CAUSES)
    causes, _, remedies = rest.partition(_REMEDIES)
    details = " ".join(details.split())
    first = f"{details.partition('.')[0]}."
    return ErrorHelp(
        code=code,
        meaning=(kind.__doc__ or "").strip().splitlines()[0] if kind else first,
        exit_code=kind.exit_code if kind else None,
        http_status=kind.http_status if kind else None,
        details=details,
        causes=_points(causes),
        remedies=_points(remedies),
    )


def _points(text: str) -> list[str]:
    return [" ".join(point.split()) for point in text.split("\n- ")[1:]]
