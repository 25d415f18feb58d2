"""Lines as programs and as people read them."""

import json
import logging
import re
from collections.abc import Iterator
from contextvars import copy_context
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest

from automagik.core.logs import subject
from automagik.core.logs.log_format import LogFormat
from automagik.core.logs.rendering import formatter
from automagik.core.logs.subject import Subject, introduce, turn_to

RUN = Subject(task_id=uuid4(), attempt=2, flow="Echo", schedule="nightly")
ABOUT = {"task_id": str(RUN.task_id), "attempt": 2, "flow": "Echo", "schedule": "nightly"}


class Book(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    @property
    def last(self) -> Any:
        return json.loads(self.lines[-1])


@pytest.fixture
def book() -> Book:
    book = Book()
    book.setFormatter(formatter(LogFormat.JSON))
    return book


@pytest.fixture
def logger(book: Book) -> Iterator[logging.Logger]:
    logger = logging.getLogger("tests.logs")
    logger.addHandler(book)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    yield logger
    logger.removeHandler(book)


@pytest.fixture(autouse=True)
def _about_nothing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(subject, "_speaker", {})
    yield
    turn_to(None)


def test_a_line_is_one_object_with_its_instant_level_and_words(
    logger: logging.Logger, book: Book
) -> None:
    logger.warning("%d runs\nof %s", 3, "somebody")
    assert "\n" not in book.lines[-1]
    assert (
        book.last.items()
        >= {
            "level": "warning",
            "event": "3 runs\nof somebody",
            "logger": "tests.logs",
        }.items()
    )
    assert "task_id" not in book.last


@pytest.mark.parametrize(
    "created, instant",
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1798761599.9996, "2026-12-31T23:59:59.999Z"),
        (1798761600.0625, "2027-01-01T00:00:00.062Z"),
    ],
)
def test_an_instant_is_utc_with_milliseconds(created: float, instant: str) -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "said", (), None)
    record.created = created
    assert json.loads(formatter(LogFormat.JSON).format(record))["ts"] == instant


def test_a_line_names_who_speaks_and_the_run_it_is_about(
    logger: logging.Logger, book: Book
) -> None:
    introduce(worker="worker@host")
    turn_to(RUN)
    logger.info("said")
    assert book.last.items() >= (ABOUT | {"worker": "worker@host"}).items()
    turn_to(Subject(task_id=RUN.task_id))
    logger.info("said before the claim")
    assert book.last.keys() & ABOUT.keys() == {"task_id"}


def test_each_thread_is_about_its_own_run(logger: logging.Logger, book: Book) -> None:
    turn_to(RUN)
    other = Thread(target=lambda: logger.info("said elsewhere"))
    other.start()
    other.join()
    assert "task_id" not in book.last
    copy_context().run(turn_to, None)
    logger.info("said here")
    assert book.last["task_id"] == str(RUN.task_id)


def test_what_celery_says_of_another_run_is_about_that_one(
    logger: logging.Logger, book: Book
) -> None:
    turn_to(RUN)
    data = {"id": "other", "name": "automagik.run", "args": "flow=a=b", "kwargs": "schedule=-"}
    logger.info("received", extra={"data": data})
    assert (book.last["task_id"], book.last["flow"]) == ("other", "a=b")
    assert book.last.keys().isdisjoint({"attempt", "schedule", "data"})
    logger.info("done", extra={"data": {"id": str(RUN.task_id), "name": "x", "runtime": 0.25}})
    assert book.last.items() >= (ABOUT | {"seconds": 0.25}).items()


def test_an_exception_is_one_field_without_secrets(logger: logging.Logger, book: Book) -> None:
    _break(logger, "refused: Authorization: Bearer sk-canary")
    [line] = book.lines
    assert "sk-canary" not in line
    lines = book.last["exception"].splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert (
        lines[-1]
        == "ValueError: invalid literal for int() with base 10: 'refused: Authorization: ***'"
    )


def test_further_fields_stand_in_the_line(logger: logging.Logger, book: Book) -> None:
    thing = object()
    logger.info("said", extra={"source": "prod", "api_key": "sk-canary", "thing": thing})
    assert book.last.items() >= {"source": "prod", "api_key": "***", "thing": repr(thing)}.items()


@pytest.mark.parametrize("colors", [True, False])
def test_people_read_the_same_in_lines_of_text(
    logger: logging.Logger, book: Book, *, colors: bool
) -> None:
    book.setFormatter(formatter(LogFormat.CONSOLE, colors=colors))
    turn_to(RUN)
    _break(logger, "password=sk-canary")
    [line] = book.lines
    plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
    assert (plain != line) == colors
    assert "[error    ] It broke" in plain
    assert "flow=Echo" in plain
    assert plain.endswith("password=***'")


def _break(logger: logging.Logger, words: str) -> None:
    try:
        int(words)
    except ValueError:
        logger.exception("It broke")
