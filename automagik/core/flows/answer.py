"""What a run answered: the answer made safe to store, and its text.

LangFlow says the text about five times, in shapes that differ by version and component; this is the
one place that knows them.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from automagik.core.flows.exceptions import MalformedAnswer

UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""PostgreSQL has no NUL in text, and a lone surrogate is no character."""
_SUSPECT = re.compile(rb"\\u0000|\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]|\0")
"""What makes such a text, written as an escape or not, or JSON that is not UTF-8."""
MAIN_OUTPUTS = ("message", "text")


def parse_answer(body: bytes) -> Any:
    """The JSON of a source, cleaned. Raises MalformedAnswer."""
    try:
        answer = json.loads(body, parse_float=_finite, parse_constant=lambda _: None)
        return clean_answer(answer) if _SUSPECT.search(body) else answer
    except ValueError:
        raise MalformedAnswer("The answer is not JSON.") from None
    except RecursionError:
        raise MalformedAnswer("The answer's JSON is nested too deeply.") from None


def _finite(number: str) -> float | None:
    value = float(number)
    return value if math.isfinite(value) else None


def clean_answer(answer: Any) -> Any:
    """The same JSON without what PostgreSQL refuses: NUL, lone surrogates, infinite numbers."""
    match answer:
        case str():
            return clean_text(answer)
        case dict():
            return {clean_text(key): clean_answer(value) for key, value in answer.items()}
        case list():
            return [clean_answer(value) for value in answer]
        case float():
            return answer if math.isfinite(answer) else None
    return answer


def clean_text(text: str) -> str:
    return UNSTORABLE.sub(lambda match: "" if match[0] == "\0" else "\ufffd", text)


def extract_text(answer: Mapping[str, Any], *, output_component: str | None) -> str | None:
    """The text of the chosen component (an id or a display name), else of the first chat output.

    Structured data becomes compact JSON. None when there is no output or nothing in it.
    """
    outputs = list(_component_outputs(answer))
    if output_component is not None:
        outputs = [output for output in outputs if _is_component(output, output_component)]
    chats = [output for output in outputs if _says(output, "ChatOutput")]
    for output in chats + outputs:
        text = _text_of(output)
        if text is not None:
            return text
    return None


def _component_outputs(answer: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for run in _list(answer.get("outputs")):
        if isinstance(run, Mapping):
            yield from (o for o in _list(run.get("outputs")) if isinstance(o, Mapping))


def _is_component(output: Mapping[str, Any], name: str) -> bool:
    return name in (output.get("component_id"), output.get("component_display_name"))


def _says(output: Mapping[str, Any], kind: str) -> bool:
    return str(output.get("component_id") or "").startswith(kind)


def _text_of(output: Mapping[str, Any]) -> str | None:
    for value in _values(output):
        text = _as_text(value)
        if text is not None:
            return text
    return None


def _values(output: Mapping[str, Any]) -> Iterator[Any]:
    """Where the value may stand, best first."""
    named = _mapping(output.get("outputs"))
    ports = [name for name in MAIN_OUTPUTS if name in named]
    ports += [name for name in named if name not in MAIN_OUTPUTS]
    yield from (_mapping(named[name]).get("message") for name in ports)
    results = _mapping(output.get("results"))
    yield from (_mapping(results.get(name)).get("text") for name in MAIN_OUTPUTS)
    messages = _list(output.get("messages"))
    yield from (_mapping(message).get("message") for message in messages[:1])


def _as_text(value: Any) -> str | None:
    """LangFlow 1.0 puts a message object where later versions put its text."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Mapping) and "sender" in value and isinstance(value.get("text"), str):
        return str(value["text"])
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
