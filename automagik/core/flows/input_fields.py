"""Input as fields, `city.name=Ulm`, beside input as text. Pure.

What was written as text must stay text: a sentence with `=` in it is none of these.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from automagik.core.flows.exceptions import InvalidFlowInput
from automagik.core.flows.tweaks import typed_value

AS_TEXT = """To send it as text, wrap it: --input '{"input_value": "..."}', or use --input -"""
_FIELD = re.compile(r"([A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*)=(.*)", re.ASCII | re.DOTALL)


def is_field(text: str) -> bool:
    """`PATH=VALUE` in one word, or with a value in JSON; a value is there, and is no second `=`.

    So `x = 1`, `a=b or not`, `a==b` and the end of base64 are text.
    """
    match = _FIELD.fullmatch(text)
    value = match[2] if match else ""
    if not value or value.startswith("=") or value != value.strip():
        return False
    return len(value.split()) == 1 or _is_json(value)


def fields_text(texts: Sequence[str]) -> str:
    """All of them as one JSON object; a value is JSON where it is, else text.

    Raises InvalidFlowInput for what is no field, given twice, or both a value and an object.
    """
    whole: dict[str, Any] = {}
    for text in texts:
        match = _FIELD.fullmatch(text)
        if match is None:
            raise InvalidFlowInput(
                f"The input {text[:80]!r} is no PATH=VALUE, as it must be beside another.",
                hint="Give a text once, or fields such as --input city=Ulm --input days=3",
            )
        _put(whole, match[1], typed_value(match[2]))
    return json.dumps(whole, ensure_ascii=False)


def _put(whole: dict[str, Any], path: str, value: Any) -> None:
    *parents, name = path.split(".")
    place = whole
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise InvalidFlowInput(f"The input gives {path!r}, and a value for {parent!r} itself.")
    if name in place:
        raise InvalidFlowInput(f"The input gives {path!r} twice.")
    place[name] = value


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
