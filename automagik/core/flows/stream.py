"""The stream of a run: events as they come, then the answer.

LangFlow labels it text/event-stream, but sends plain JSON objects separated by blank lines. The
`data:` of real server-sent events, which a proxy or a later version may send, is read as well.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from automagik.core.flows.answer import parse_answer
from automagik.core.flows.exceptions import MalformedAnswer, StreamEnded
from automagik.core.flows.refusal import readable, run_failure

MAX_EVENT_TEXT = 2000
SSE_NOISE = (b":", b"event:", b"id:", b"retry:")


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEvent:
    """Something a run says while it goes on.

    `kind` is LangFlow's word (add_message, token, error, ...), `text` a short text for people,
    `component` the id of the node that says it, or `user`; `sender` who speaks (User, Machine).
    """

    kind: str
    text: str
    component: str | None = None
    sender: str | None = None


def follow(chunks: Iterable[bytes], on_event: Callable[[RunEvent], None] | None) -> dict[str, Any]:
    """The answer of a streamed run.

    Raises RunFailed or BadRequest with LangFlow's text, StreamEnded when there is none, and
    MalformedAnswer.
    """
    complaint: str | None = None
    for kind, data in _events(chunks):
        if kind == "end":
            return _result(data)
        if kind == "error" and isinstance(data.get("error"), str):
            # The verdict, which is told by what is raised.
            raise run_failure(data)
        event = _described(kind, data)
        if on_event is not None:
            on_event(event)
        if kind == "error":
            complaint = complaint or event.text
    # A component's complaint alone is no verdict: only the end of the stream is.
    if complaint is not None:
        raise run_failure(complaint)
    raise StreamEnded


def _result(data: Mapping[str, Any]) -> dict[str, Any]:
    result = data.get("result")
    if not isinstance(result, dict):
        raise MalformedAnswer("The end of the run's stream carries no result.")
    return result


def _described(kind: str, data: Mapping[str, Any]) -> RunEvent:
    said = data.get("chunk") if kind == "token" else data.get("text") or data.get("error")
    source = _mapping(_mapping(data.get("properties")).get("source"))
    return RunEvent(
        kind=kind,
        text=readable(said)[:MAX_EVENT_TEXT]
        if kind == "error"
        else str(said or "")[:MAX_EVENT_TEXT],
        component=source.get("id") or _speaker(data),
        sender=data.get("sender"),
    )


def _speaker(data: Mapping[str, Any]) -> str | None:
    """What the user said comes from no node."""
    return "user" if data.get("sender") == "User" else None


def _events(chunks: Iterable[bytes]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Kind and data. What is no JSON at the very end is an object that was cut off."""
    broken: MalformedAnswer | None = None
    for block in _blocks(_lines(chunks)):
        if broken is not None:
            raise broken
        try:
            event = _mapping(parse_answer(block))
        except MalformedAnswer as error:
            broken = error
        else:
            yield str(event.get("event")), _mapping(event.get("data"))


def _blocks(lines: Iterable[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    for line in lines:
        if line and not line.startswith(SSE_NOISE):
            held.append(line.removeprefix(b"data:"))
        elif held and not line:
            yield b"\n".join(held)
            held = []
    if held:
        yield b"\n".join(held)


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines as soon as they are whole; the last may lack its end."""
    begun: list[bytes] = []
    for chunk in chunks:
        first, *rest = chunk.split(b"\n")
        begun.append(first)
        for part in rest:
            yield b"".join(begun).rstrip(b"\r")
            begun = [part]
    if any(begun):
        yield b"".join(begun)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
