"""The body of a run: what is asked for, and what LangFlow refuses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

_TYPES = {
    "input_value": ("",),
    "session_id": ("",),
    "output_component": ("",),
    "input_type": ("chat", "text", "any"),
    "output_type": ("chat", "text", "any", "debug"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequest:
    input_value: str | None = None
    input_type: str = "chat"
    output_type: str = "chat"
    output_component: str = ""
    tweaks: Mapping[str, Any] = field(default_factory=dict)
    session_id: str = ""

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Self:
        """Reads a body. One wrong value empties the whole request, as on LangFlow since 1.7."""
        if not all(_fits(name, body.get(name)) for name in (*_TYPES, "tweaks")):
            return cls()
        known = {name: body[name] for name in (*_TYPES, "tweaks") if body.get(name) is not None}
        return cls(**known)

    def clash(self) -> str | None:
        """The complaint about an input that is given twice: as input and as tweak."""
        if self.input_value is None:
            return None
        for kind in ("chat", "text"):
            names = (f"{kind.capitalize()}Input", f"{kind.capitalize()} Input")
            tweaked = any(_sets_input(tweak) for tweak in self._tweaks_of(names))
            if self.input_type == kind and tweaked:
                return (
                    f"If you pass an input_value to the {kind} input, "
                    "you cannot pass a tweak with the same name."
                )
        return None

    def refused_fields(self) -> list[str]:
        """The fields that no tweak may set."""
        named = {f for tweak in self.tweaks.values() if isinstance(tweak, Mapping) for f in tweak}
        return sorted(named & {"code"})

    def _tweaks_of(self, names: tuple[str, ...]) -> list[Any]:
        return [t for node, t in self.tweaks.items() if any(name in node for name in names)]


def _fits(name: str, value: Any) -> bool:
    if value is None:
        return True
    if name == "tweaks":
        return isinstance(value, Mapping)
    allowed = _TYPES[name]
    return isinstance(value, str) and (allowed == ("",) or value in allowed)


def _sets_input(tweak: Any) -> bool:
    return isinstance(tweak, Mapping) and tweak.get("input_value") is not None
