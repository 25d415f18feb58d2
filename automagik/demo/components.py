"""What the components of a flow do: functions of their fields and of the run they are part of."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from automagik.demo.graph import Node
from automagik.demo.memory import Counters

Fields = Mapping[str, Any]
Value = str | Mapping[str, Any] | Iterator[str]


class ComponentFailed(Exception):
    """A component raised an error; `kind` names the error's class."""

    def __init__(self, text: str, *, kind: str = "ValueError") -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What a component sees of its run."""

    session_id: str
    streaming: bool
    pause: Callable[[float], None]
    """Waits so many seconds; raises RunAborted when the run is to end meanwhile."""
    memory: Counters


Component = Callable[[Fields, Surroundings], Value]


def call(node: Node, fields: Fields, *, surroundings: Surroundings) -> Value:
    """Runs one component. Raises ComponentFailed."""
    component = COMPONENTS.get(node.type)
    if component is None:
        raise ComponentFailed(f"The demo server has no component of the type {node.type}.")
    typed = {name: _typed(name, value, node.kinds.get(name)) for name, value in fields.items()}
    return component(typed, surroundings)


def _typed(name: str, value: Any, kind: str | None) -> Any:
    wanted = {"float": float, "int": int}.get(kind or "")
    if wanted is None or value in (None, ""):
        return value
    try:
        return wanted(value)
    except (TypeError, ValueError):
        raise ComponentFailed(
            f"1 validation error for {wanted.__name__.capitalize()}Input\nvalue\n  Value error, "
            f"Could not convert {value!r} to {wanted.__name__} for input {name}."
        ) from None


def _passed_on(fields: Fields, _: Surroundings) -> Value:
    value: Value = fields.get("input_value") or ""
    return value


def _sleep(fields: Fields, surroundings: Surroundings) -> Value:
    surroundings.pause(fields["seconds"])
    return f"slept {fields['seconds']}s: {_text(fields)}"


def _fail(fields: Fields, _: Surroundings) -> Value:
    kind, message = fields["kind"], fields["message"]
    if kind not in ("ValueError", "RuntimeError", "KeyError", "TimeoutError"):
        kind, message = "KeyError", kind
    # A KeyError shows its key as Python writes it.
    raise ComponentFailed(repr(message) if kind == "KeyError" else message, kind=kind)


def _flaky(fields: Fields, surroundings: Surroundings) -> Value:
    key = re.sub(r"[^A-Za-z0-9_.-]", "_", str(fields["key"] or surroundings.session_id))
    count = surroundings.memory.increment(f"flaky {key}")
    if count <= fields["failures"]:
        raise ComponentFailed(
            f"flaky failure {count} of {fields['failures']} (key {key})", kind="RuntimeError"
        )
    return f"succeeded on attempt {count}: {_text(fields)}"


def _prompt(fields: Fields, _: Surroundings) -> Value:
    def filled(match: re.Match[str]) -> str:
        return str(fields.get(match[1]) or "")

    return re.sub(r"\{(\w+)\}", filled, fields["template"])


def _statistics(fields: Fields, _: Surroundings) -> Value:
    text = _text(fields)
    return {
        "characters": len(text),
        "words": len(text.split()),
        "upper": text.upper(),
        "tags": ["a", "b"],
        "nested": {"ok": True},
    }


def _big_output(fields: Fields, _: Surroundings) -> Value:
    size: int = max(0, fields["size"])
    return ("0123456789abcdef" * (size // 16 + 1))[:size]


def _session_count(fields: Fields, surroundings: Surroundings) -> Value:
    session = surroundings.session_id
    count = surroundings.memory.increment(f"session {session}")
    return f"message {count} of session {session}: {_text(fields)}"


def _token_stream(fields: Fields, surroundings: Surroundings) -> Value:
    def words() -> Iterator[str]:
        for word in _text(fields).split():
            surroundings.pause(fields["delay"])
            yield f"{word} "

    return words() if surroundings.streaming else "".join(words())


def _webhook(fields: Fields, _: Surroundings) -> Value:
    try:
        data = json.loads(fields["data"] or "{}")
    except ValueError:
        return {"payload": fields["data"]}
    return {**data} if isinstance(data, dict) else {"payload": data}


def _payload_summary(fields: Fields, _: Surroundings) -> Value:
    data = fields["payload"] or {}
    keys = ", ".join(sorted(map(str, data)))
    return f"webhook received {len(data)} keys: {keys}; event={data.get('event')}"


def _text(fields: Fields) -> str:
    return str(fields.get("input_value") or "")


COMPONENTS: dict[str, Component] = {
    "ChatInput": _passed_on,
    "TextInput": _passed_on,
    "ChatOutput": _passed_on,
    "TextOutput": _passed_on,
    "SleepComponent": _sleep,
    "FailComponent": _fail,
    "FlakyComponent": _flaky,
    "Prompt": _prompt,
    "Prompt Template": _prompt,
    "StatsComponent": _statistics,
    "BigOutputComponent": _big_output,
    "SessionCount": _session_count,
    "TokenStream": _token_stream,
    "Webhook": _webhook,
    "PayloadSummary": _payload_summary,
}
