"""Recorded exchanges with LangFlow 1.13.0, and how to compare answers with them."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import requests

RECORDINGS = Path(__file__).parents[1] / "data" / "langflow" / "recordings" / "1.13.0"

_VARYING = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( UTC|Z|[+-]\d\d:\d\d)?"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    status: int
    content_type: str
    body: Any
    """JSON, the list of a stream's events, or text."""


Ask = Callable[[str], Answer]
"""Gives the answer to the request of the recording with this name."""


def recorded(name: str) -> Answer:
    response = _recording(name)["response"]
    content_type = response["headers"].get("content-type", "")
    body = response["json"] if "json" in response else _parsed(response["text"], content_type)
    return Answer(status=response["status"], content_type=content_type, body=body)


def ask_server(url: str, api_key: str) -> Ask:
    def ask(name: str) -> Answer:
        sent = _recording(name)["request"]
        body = json.dumps(sent["json"]) if "json" in sent else sent.get("text")
        # One connection each: an idle one is closed after two seconds.
        response = requests.request(
            sent["method"],
            url + sent["path"],
            params={k: _keyed(str(v), api_key) for k, v in sent["query"].items()},
            headers={k: _keyed(v, api_key) for k, v in sent["headers"].items()},
            data=body,
            allow_redirects=False,
            timeout=30,
        )
        content_type = response.headers.get("content-type", "")
        return Answer(
            status=response.status_code,
            content_type=content_type,
            body=_parsed(response.text, content_type),
        )

    return ask


def at(body: Any, path: str) -> Any:
    """What a dotted path leads to: keys, positions, `*` for every item, `json` into a text."""
    for position, step in enumerate(steps := path.split(".")):
        if step == "*":
            rest = ".".join(steps[position + 1 :])
            return [at(item, rest) for item in body]
        if isinstance(body, str) and step == "json":
            body = json.loads(body)
        else:
            body = body[int(step)] if isinstance(body, list) else body[step]
    return body


def shape(body: Any, path: str = "") -> set[str]:
    """The paths of a body with the kind of what they lead to; items of a list share theirs."""
    if isinstance(body, dict):
        return {path}.union(*(shape(value, f"{path}.{key}") for key, value in body.items()))
    if isinstance(body, list):
        return {f"{path}[]"}.union(*(shape(item, f"{path}[]") for item in body))
    return {f"{path}: {type(body).__name__}"}


def settled(body: Any) -> Any:
    """The body without what differs from run to run: ids, times and tracebacks."""
    if isinstance(body, dict):
        return {k: "…" if k == "traceback" and v else settled(v) for k, v in body.items()}
    if isinstance(body, list):
        return [settled(item) for item in body]
    return _VARYING.sub("…", body) if isinstance(body, str) else body


@cache
def _recording(name: str) -> Any:
    return json.loads((RECORDINGS / f"{name}.json").read_text())


def _keyed(text: str, api_key: str) -> str:
    return text.replace("<API_KEY>", api_key)


def _parsed(text: str, content_type: str) -> Any:
    if content_type.startswith("application/json"):
        return json.loads(text)
    if content_type.startswith("text/event-stream"):
        return [json.loads(event) for event in text.split("\n\n") if event]
    return text
