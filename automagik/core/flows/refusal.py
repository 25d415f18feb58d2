"""What it means when a source answers with anything but 200.

LangFlow's statuses mislead: a failing component is 500, with JSON inside a string, or 404 when its
text has "not found" in it. So the body decides as well.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from automagik.core.flows.answer import clean_text
from automagik.core.flows.exceptions import (
    BadRequest,
    MalformedAnswer,
    RateLimited,
    RemoteError,
    RemoteFlowNotFound,
    RunFailed,
    SourceServerError,
    SourceTimeout,
    SourceUnauthorized,
)

MAX_TEXT_BYTES = 8192
FLOW_IS_GONE = ("Flow identifier", "Flow not found")
NO_SUCH_PATH = "Not Found"
"""The whole text of the web framework's own 404: there is no LangFlow at this address."""
REFUSED_BEFORE_RUN = ("Refused tweak", "If you pass an input_value to the ")
"""How texts begin that a streamed run sends as events where a plain one answers 4xx."""
WORDING = ("message", "error", "detail", "msg")
STATUS_PREFIX = re.compile(r"^[45]\d\d: ")


def classify(
    status: int, headers: Mapping[str, str], *, body: bytes, is_run: bool, now: datetime
) -> RemoteError:
    """The error for an answer of the source; `body` may be cut."""
    detail = _detail(body)
    kind = _kind(status, detail, is_run=is_run and detail is not None)
    said = "" if detail == NO_SUCH_PATH else readable(detail)
    return kind(
        said or _without_detail(status, headers),
        http_status_received=status,
        retry_after=parse_retry_after(headers.get("retry-after"), now=now),
    )


def run_failure(detail: Any) -> RemoteError:
    """The error for what a stream says of a failed run."""
    text = readable(detail)
    kind = BadRequest if text.startswith(REFUSED_BEFORE_RUN) else RunFailed
    return kind(text or None)


def readable(detail: Any) -> str:
    """The sentence in an error's `detail`: a string, JSON in a string, an object or a list."""
    try:
        text = _sentence(detail)
    except RecursionError:
        return ""
    clean = clean_text(text).strip()
    return clean.encode()[:MAX_TEXT_BYTES].decode(errors="ignore")


def parse_retry_after(value: str | None, *, now: datetime) -> timedelta | None:
    """Seconds or an HTTP date; None when missing or unreadable."""
    if value is None:
        return None
    try:
        if value.isascii() and value.strip().isdecimal():
            return timedelta(seconds=int(value))
        instant = parsedate_to_datetime(value)
        return max(instant.replace(tzinfo=instant.tzinfo or UTC) - now, timedelta())
    except (ValueError, OverflowError):
        return None


def _without_detail(status: int, headers: Mapping[str, str]) -> str:
    if status == 404:
        return f"HTTP 404, {NO_SUCH_PATH}: LangFlow is not at this address."
    if 300 <= status < 400:
        return f"HTTP {status}: the source redirects to {headers.get('location')}."
    return f"HTTP {status}, {headers.get('content-type') or 'no content'}"


def _kind(status: int, detail: Any, *, is_run: bool) -> type[RemoteError]:
    by_status: dict[int, type[RemoteError]] = {
        401: SourceUnauthorized,
        403: SourceUnauthorized,
        408: SourceTimeout,
        425: RateLimited,
        429: RateLimited,
    }
    if status in by_status:
        return by_status[status]
    if status == 404:
        return _not_found(detail, is_run=is_run)
    if 400 <= status < 500:
        return BadRequest
    if status == 500 and is_run:
        return RunFailed
    return SourceServerError if status >= 500 else MalformedAnswer


def _not_found(detail: Any, *, is_run: bool) -> type[RemoteError]:
    if isinstance(detail, str) and detail.startswith(FLOW_IS_GONE):
        return RemoteFlowNotFound
    return RunFailed if is_run and detail != NO_SUCH_PATH else MalformedAnswer


def _detail(body: bytes) -> Any:
    """The `detail` of a JSON object, else None: a proxy's or another program's page."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return answer.get("detail") if isinstance(answer, dict) else None


def _sentence(detail: Any) -> str:
    if isinstance(detail, str):
        inner = _inner_json(detail)
        return detail if inner is None else _sentence(inner)
    if isinstance(detail, Mapping):
        said = [detail[key] for key in WORDING if detail.get(key)]
        text = _sentence(said[0]) if said else json.dumps(detail)
        fields = detail.get("fields")
        return f"{text} ({', '.join(map(str, fields))})" if isinstance(fields, list) else text
    if isinstance(detail, list):
        return "; ".join(_validation_line(item) for item in detail)
    return "" if detail is None else str(detail)


def _inner_json(text: str) -> Any:
    bare = STATUS_PREFIX.sub("", text)
    if not bare.startswith(("{", "[")):
        return None
    try:
        return json.loads(bare)
    except (ValueError, RecursionError):
        return None


def _validation_line(item: Any) -> str:
    if not isinstance(item, Mapping):
        return str(item)
    place = item.get("loc")
    where = ".".join(map(str, place)) if isinstance(place, list) else ""
    return ": ".join(part for part in (where, str(item.get("msg") or item)) if part)
