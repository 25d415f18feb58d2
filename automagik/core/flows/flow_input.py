"""The input of a run as people write it: text, or JSON that says more.

Nothing is guessed: what starts like JSON and is none is refused, and no input means empty input.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Never

from automagik.core.flows.answer import clean_answer
from automagik.core.flows.exceptions import InvalidFlowInput

VALUE_KEYS = ("input_value", "input", "message")
ENVELOPE_KEYS = (*VALUE_KEYS, "tweaks", "session_id")
BYTE_ORDER_MARK = "\ufeff"
WRAP_TEXT = 'To send it as plain text, wrap it: {"input_value": "..."}'
WRAP_OBJECT = 'To send the whole object as the input, wrap it: {"input_value": {...}}'


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowInput:
    """What a run is given. `tweaks` is by component, then by field. A repr shows none of it."""

    input_value: str = field(default="", repr=False)
    tweaks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    session_id: str | None = None


def parse_input(text: str | None) -> FlowInput:
    """Text is LangFlow's `input_value`; a JSON object with one of ENVELOPE_KEYS says more.

    Any other JSON travels as it was written. Raises InvalidFlowInput.
    """
    text = (text or "").removeprefix(BYTE_ORDER_MARK)
    refuse_unstorable(text)
    if text.lstrip().startswith(("{", "[")):
        value = _parsed(text)
        if isinstance(value, dict) and not value.keys().isdisjoint(ENVELOPE_KEYS):
            return _opened(value)
    return FlowInput(input_value=text)


def refuse_unstorable(value: Any) -> None:
    """Raises InvalidFlowInput for NUL characters, lone surrogates and infinite numbers."""
    if clean_answer(value) != value:
        raise InvalidFlowInput(
            "The input holds a NUL character, half a character or a number beyond all bounds."
        )


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise InvalidFlowInput(
            "The input starts like JSON, but is none: "
            f"{error.msg} in line {error.lineno}, column {error.colno}.",
            hint=WRAP_TEXT,
        ) from None
    except (ValueError, RecursionError):
        raise InvalidFlowInput(
            "The input is JSON with a number too long or nested too deeply.", hint=WRAP_TEXT
        ) from None


def _refuse_constant(name: str) -> Never:
    raise InvalidFlowInput(f"The input starts like JSON, but {name} is no JSON.", hint=WRAP_TEXT)


def _opened(envelope: dict[str, Any]) -> FlowInput:
    refuse_unstorable(envelope)
    unknown = [key for key in envelope if key not in ENVELOPE_KEYS]
    if unknown:
        raise InvalidFlowInput(
            f"The input has unknown keys: {', '.join(unknown)}. "
            f"Known are {', '.join(ENVELOPE_KEYS)}.",
            hint=WRAP_OBJECT,
        )
    return FlowInput(
        input_value=_value_text(envelope),
        tweaks=_tweaks(envelope.get("tweaks")),
        session_id=_session_id(envelope.get("session_id")),
    )


def _value_text(envelope: dict[str, Any]) -> str:
    """LangFlow takes a string only, and drops the whole request for anything else."""
    given = [key for key in VALUE_KEYS if key in envelope]
    if len(given) > 1:
        raise InvalidFlowInput(f"The input gives {' and '.join(given)}, which mean the same.")
    value = envelope[given[0]] if given else None
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def _tweaks(tweaks: Any) -> dict[str, dict[str, Any]]:
    if tweaks is None:
        return {}
    if not isinstance(tweaks, dict) or not all(isinstance(t, dict) for t in tweaks.values()):
        raise InvalidFlowInput('Tweaks must look like {"component": {"field": value}}.')
    return tweaks


def _session_id(session_id: Any) -> str | None:
    if session_id is None:
        return None
    if not isinstance(session_id, str) or not session_id.strip():
        raise InvalidFlowInput("The session_id must be a text that is not empty.")
    return session_id
