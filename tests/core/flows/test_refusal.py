"""What an answer other than 200 means: by its status, and by what it says."""

from datetime import UTC, datetime, timedelta

import pytest

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
from automagik.core.flows.refusal import MAX_TEXT_BYTES, classify, parse_retry_after, readable
from tests.core.flows.recorded import VERSIONS, recording

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
GATEWAY_PAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


def refusal(status: int, body: bytes, *, is_run: bool = True, **headers: str) -> RemoteError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return classify(status, named, body=body, is_run=is_run, now=NOW)


@pytest.mark.parametrize(
    ("status", "body", "kind", "retryable"),
    [
        (400, b'{"detail": "no"}', BadRequest, False),
        (401, b'{"detail": "Invalid token"}', SourceUnauthorized, False),
        (403, b"<html>", SourceUnauthorized, False),
        (404, b'{"detail": "Flow identifier x not found"}', RemoteFlowNotFound, False),
        (404, b'{"detail": "Flow not found"}', RemoteFlowNotFound, False),
        (404, b'{"detail": "Module lfx.x not found"}', RunFailed, True),
        (404, b'{"detail": "Not Found"}', MalformedAnswer, False),
        (404, b"<html>", MalformedAnswer, False),
        (405, b'{"detail": "Method Not Allowed"}', BadRequest, False),
        (408, b"", SourceTimeout, True),
        (413, b"", BadRequest, False),
        (422, b'{"detail": []}', BadRequest, False),
        (425, b"", RateLimited, True),
        (429, b"", RateLimited, True),
        (500, b'{"detail": "boom"}', RunFailed, True),
        (500, b"Internal Server Error", SourceServerError, True),
        (502, GATEWAY_PAGE, SourceServerError, True),
        (503, b'{"detail": "starting"}', SourceServerError, True),
        (307, b"", MalformedAnswer, False),
        (204, b"", MalformedAnswer, False),
    ],
)
def test_status_and_body_decide_what_failed_and_whether_it_is_retried(
    status: int, body: bytes, kind: type[RemoteError], *, retryable: bool
) -> None:
    error = refusal(status, body)
    assert type(error) is kind
    assert error.retryable is retryable
    assert error.http_status_received == status


def test_a_500_of_anything_but_a_run_is_a_server_error() -> None:
    assert type(refusal(500, b'{"detail": "boom"}', is_run=False)) is SourceServerError


@pytest.mark.parametrize("version", VERSIONS)
def test_a_component_error_says_what_langflow_said(version: str) -> None:
    body = recording(version, "run_failing")["response"]["json"]["detail"]
    assert readable(body) == (
        "Error running graph: Error building Component Fail: \n\ndeliberate failure"
    )


@pytest.mark.parametrize(
    ("detail", "text"),
    [
        ("plain", "plain"),
        ('{"message": "inner", "traceback": null}', "inner"),
        ('500: {"message": "inner"}', "inner"),
        (
            {"error": "Refused tweaks", "message": "Protected.", "fields": ["code"]},
            "Protected. (code)",
        ),
        ({"detail": {"msg": "deep"}}, "deep"),
        ({"odd": 1}, '{"odd": 1}'),
        ([{"loc": ["body", 1], "msg": "JSON decode error"}, "x"], "body.1: JSON decode error; x"),
        ("[1, 2", "[1, 2"),
        ("a\0b", "ab"),
        (None, ""),
        (7, "7"),
    ],
)
def test_the_sentence_is_found_in_every_shape_of_detail(detail: object, text: str) -> None:
    assert readable(detail) == text


def test_long_texts_are_cut_between_characters() -> None:
    text = readable("é" * MAX_TEXT_BYTES)
    assert len(text.encode()) == MAX_TEXT_BYTES
    assert set(text) == {"é"}


def test_a_redirect_says_where_to() -> None:
    assert "https://x/" in refusal(307, b"", location="https://x/").message


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        (" 0 ", 0),
        ("Fri, 20 Nov 2026 12:00:30 GMT", 30),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: int) -> None:
    assert refusal(429, b"", retry_after=value).retry_after == timedelta(seconds=seconds)


@pytest.mark.parametrize("value", [None, "", "soon", "-3", "9" * 30, "\u0663"])
def test_an_unreadable_retry_after_is_none(value: str | None) -> None:
    assert parse_retry_after(value, now=NOW) is None
