"""One HTTP call to a source: sent once, bounded in time and size, broken off by its handle."""

import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import requests
from pydantic import SecretStr
from requests.auth import AuthBase
from urllib3.exceptions import DecodeError, HTTPError, ReadTimeoutError

from automagik import __version__
from automagik.core.flows.answer import parse_answer
from automagik.core.flows.exceptions import (
    AnswerTooLarge,
    DeadlineExceeded,
    MalformedAnswer,
    RemoteError,
    RunCancelled,
    SourceTimeout,
    SourceUnreachable,
    SourceUntrusted,
)
from automagik.core.flows.refusal import classify
from automagik.core.flows.run_handle import AbortReason, RunHandle
from automagik.core.flows.transport import held_by, session
from automagik.core.flows.watchdog import ended_after

CHUNK_BYTES = 64 * 1024
MAX_REFUSAL_BYTES = 1024 * 1024
MASK = "***"
MIN_MASKED_LENGTH = 8
"""A shorter key would be found inside ordinary words of an answer."""
NETWORK_ERRORS = (requests.RequestException, HTTPError, OSError)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """`deadline` is for the whole call; `read` the longest silence, None where any will do."""

    connect: timedelta
    read: timedelta | None
    deadline: timedelta
    max_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """What is asked of a source."""

    method: str
    url: str
    api_key: SecretStr
    params: dict[str, str] | None = None
    body: dict[str, Any] | None = field(default=None, repr=False)
    is_run: bool = False
    idempotency_key: str | None = None
    traceparent: str | None = None


class Answer:
    """An answer of 200 whose body has not been read yet."""

    def __init__(
        self, response: requests.Response, *, call: Call, limits: Limits, handle: RunHandle
    ) -> None:
        self._response = response
        self._call = call
        self._limits = limits
        self._handle = handle

    @property
    def status(self) -> int:
        return self._response.status_code

    @property
    def content_type(self) -> str:
        said = _hidden(self._response.headers.get("content-type", ""), self._call.api_key)
        return said.partition(";")[0].strip().lower()

    def json(self) -> Any:
        """Raises MalformedAnswer for anything but JSON, such as the page of a wrong URL."""
        self.require("application/json")
        return parse_answer(b"".join(self.chunks()))

    def require(self, *content_types: str) -> None:
        if self.content_type not in content_types:
            kind = self.content_type or "nothing"
            raise MalformedAnswer(
                f"{self._call.url} answers with {kind} instead of JSON.",
                http_status_received=self._response.status_code,
            )

    def chunks(self) -> Iterator[bytes]:
        """The decoded body as it comes, with the API key masked. Raises AnswerTooLarge."""
        return _masked(self._capped(), self._call.api_key)

    def _capped(self) -> Iterator[bytes]:
        size = 0
        while chunk := self._read():
            size += len(chunk)
            if size > self._limits.max_bytes:
                raise AnswerTooLarge(f"The answer is larger than {self._limits.max_bytes} bytes.")
            yield chunk

    def _read(self) -> bytes:
        with _translated(self._call, limits=self._limits, handle=self._handle):
            chunk: bytes = self._response.raw.read1(CHUNK_BYTES, decode_content=True)
        # A connection that was shut down from outside looks like a proper end.
        _refuse_if_aborted(self._handle, self._limits)
        return chunk


@contextmanager
def answered(call: Call, *, limits: Limits, handle: RunHandle) -> Iterator[Answer]:
    """Sends the call and gives its answer of 200. Raises RemoteError for everything else."""
    try:
        with (
            ended_after(limits.deadline, handle),
            held_by(handle),
            _sent(call, limits=limits, handle=handle) as response,
        ):
            # Headers that were cut off look like all there are.
            _refuse_if_aborted(handle, limits)
            answer = Answer(response, call=call, limits=limits, handle=handle)
            if response.status_code != requests.codes.ok:
                raise _refusal(response, answer, call=call)
            yield answer
    finally:
        handle.detach()


def _sent(call: Call, *, limits: Limits, handle: RunHandle) -> requests.Response:
    with _translated(call, limits=limits, handle=handle):
        _refuse_if_aborted(handle, limits)
        return session().request(
            call.method,
            call.url,
            params=call.params,
            json=call.body,
            auth=_ApiKey(call.api_key),
            headers=_headers(call),
            timeout=_timeouts(limits),
            stream=True,
            # The key must not travel to wherever a redirect leads.
            allow_redirects=False,
        )


def _timeouts(limits: Limits) -> tuple[float, float | None]:
    connect = min(limits.connect, limits.deadline).total_seconds()
    return connect, limits.read.total_seconds() if limits.read else None


class _ApiKey(AuthBase):
    """Also keeps `requests` from looking for a password in ~/.netrc."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if key := self._key.get_secret_value():
            request.headers["x-api-key"] = key
        return request


def _headers(call: Call) -> dict[str, str]:
    """A run is not compressed: that would hold its events back."""
    headers = {"user-agent": f"automagik/{__version__}"}
    if call.idempotency_key is not None:
        headers["idempotency-key"] = call.idempotency_key
    if call.traceparent is not None:
        headers["traceparent"] = call.traceparent
    return headers | ({"accept-encoding": "identity"} if call.is_run else {})


def _refusal(response: requests.Response, answer: Answer, *, call: Call) -> RemoteError:
    body = b""
    for chunk in answer.chunks():
        body += chunk
        if len(body) > MAX_REFUSAL_BYTES:
            break
    headers = {n.lower(): _hidden(text, call.api_key) for n, text in response.headers.items()}
    status = response.status_code
    return classify(status, headers, body=body, is_run=call.is_run, now=datetime.now(UTC))


def _masked(chunks: Iterable[bytes], api_key: SecretStr) -> Iterator[bytes]:
    """Holds back only what may be the beginning of the key, so that events are not delayed."""
    key = api_key.get_secret_value().encode()
    if len(key) < MIN_MASKED_LENGTH:
        yield from chunks
        return
    held = b""
    for chunk in chunks:
        text = (held + chunk).replace(key, MASK.encode())
        begun = next((n for n in range(len(key) - 1, 0, -1) if text.endswith(key[:n])), 0)
        whole = len(text) - begun
        held = text[whole:]
        yield text[:whole]
    yield held


@contextmanager
def _translated(call: Call, *, limits: Limits, handle: RunHandle) -> Iterator[None]:
    try:
        yield
    except NETWORK_ERRORS as error:
        _refuse_if_aborted(handle, limits)
        # Without the cause: it quotes what was not HTTP, which may be the key sent back.
        raise _marked(_network_error(error, call, limits=limits), handle) from None


def _refuse_if_aborted(handle: RunHandle, limits: Limits) -> None:
    if handle.reason is AbortReason.DEADLINE:
        seconds = limits.deadline.total_seconds()
        text = f"Broken off after {seconds:g} s, the deadline of the call."
        raise _marked(DeadlineExceeded(text), handle)
    if handle.reason is not None:
        raise _marked(RunCancelled(f"The call was broken off: {handle.reason}."), handle)


def _marked(error: RemoteError, handle: RunHandle) -> RemoteError:
    error.never_sent = handle.never_sent
    return error


def _network_error(error: Exception, call: Call, *, limits: Limits) -> RemoteError:
    causes = list(_causes(error))
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(call.url))
    for cause in causes:
        match cause:
            case ssl.SSLCertVerificationError():
                return SourceUntrusted(f"{origin}: {cause.verify_message}.")
            case requests.ConnectTimeout():
                seconds = limits.connect.total_seconds()
                return SourceTimeout(f"{origin} accepts no connection within {seconds:g} s.")
            case TimeoutError() | requests.Timeout() | ReadTimeoutError():
                return SourceTimeout(f"{origin} stopped answering.")
            case DecodeError():
                return MalformedAnswer(f"{origin} sends a body that cannot be decompressed.")
    reason = _hidden(_reason(causes[-1]), call.api_key)
    return SourceUnreachable(f"{origin} cannot be reached: {reason}.")


def _hidden(text: str, api_key: SecretStr) -> str:
    """What the other side says, with the API key masked."""
    return text.replace(api_key.get_secret_value() or MASK, MASK)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _reason(cause: BaseException) -> str:
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
