"""What a run says is in the database, once, in order, and without secrets."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
from sqlalchemy import Connection

from automagik.core.database.exceptions import DatabaseUnreachable
from automagik.core.database.session import Database
from automagik.core.tasks.log import LINES_AT_ONCE, LONGEST_LINE, TaskLog, flush, write_lines
from automagik.core.tasks.values import Task
from tests.core.records import dying, rows

LINES = "SELECT message FROM task_logs ORDER BY id"


@pytest.fixture
def log(task: Task) -> TaskLog:
    return TaskLog(task.id, 1)


def close(log: TaskLog, database: Database) -> None:
    with database.transaction() as connection:
        write_lines(connection, log)


def test_a_line_has_level_component_attempt_and_time(
    database: Database, task: Task, log: TaskLog
) -> None:
    log.say("langflow", "oh", level="warning")

    flush(database, [log])

    line = rows(database, "SELECT task_id, attempt, level, component, message FROM task_logs")
    assert line == [(task.id, 1, "warning", "langflow", "oh")]
    assert rows(database, "SELECT now() - at < interval '1 minute' FROM task_logs") == [True]


def test_lines_are_written_once_and_in_order(database: Database, log: TaskLog) -> None:
    said = [str(number) for number in range(100)]
    for line in said:
        log.say("test", line)
        if int(line) % 7 == 0:
            flush(database, [log])
    flush(database, [log])
    flush(database, [log])

    close(log, database)

    assert rows(database, LINES) == said


def test_lines_said_while_others_are_written_come_later(database: Database, log: TaskLog) -> None:
    said = [str(number) for number in range(300)]

    def speak() -> None:
        for line in said:
            log.say("test", line)

    speaker = Thread(target=speak)
    speaker.start()
    while speaker.is_alive():
        flush(database, [log])
    close(log, database)

    assert rows(database, LINES) == said


def test_a_closing_transaction_that_is_tried_again_writes_once(
    database: Database, log: TaskLog
) -> None:
    log.say("test", "first")
    with dying(database) as connection:
        write_lines(connection, log)
    assert rows(database, LINES) == []

    close(log, database)

    assert rows(database, LINES) == ["first"]


def test_after_the_end_nothing_is_flushed(database: Database, log: TaskLog) -> None:
    log.say("test", "first")
    close(log, database)

    flush(database, [log])

    assert rows(database, LINES) == ["first"]


def test_lines_that_could_not_be_written_are_kept(database: Database, log: TaskLog) -> None:
    log.say("test", "first")
    with pytest.raises(DatabaseUnreachable):
        flush(Away(str(database.engine.url)), [log])
    log.say("test", "second")

    flush(database, [log])

    assert rows(database, LINES) == ["first", "second"]


def test_the_log_of_a_deleted_task_is_dropped(database: Database, log: TaskLog) -> None:
    log.say("test", "first")
    rows(database, "DELETE FROM tasks RETURNING id")

    flush(database, [log])
    log.say("test", "second")
    close(log, database)

    assert rows(database, LINES) == []


def test_secrets_and_what_postgresql_refuses_never_reach_the_database(
    database: Database, log: TaskLog
) -> None:
    log.hide("canary")
    log.hide("")
    log.say("test", "the key is canary\x00, can\x00ary, \ud800")

    flush(database, [log])

    assert rows(database, LINES) == ["the key is ***, ***, \ufffd"]


def test_a_very_long_line_is_cut(database: Database, log: TaskLog) -> None:
    log.say("test", "x" * (LONGEST_LINE + 1))

    flush(database, [log])

    assert rows(database, "SELECT length(message) FROM task_logs") == [LONGEST_LINE]


class Away(Database):
    """A PostgreSQL that went away in the middle of a transaction."""

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        raise DatabaseUnreachable
        yield


def test_a_flow_that_talks_without_end_is_quoted_up_to_a_limit(
    database: Database, log: TaskLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the worker says after it is kept."""
    monkeypatch.setattr("automagik.core.tasks.log.MOST_QUOTES", 3)
    for number in range(1000):
        log.quote("ChatOutput", str(number))
    log.say("worker", "failed")

    close(log, database)

    left_out = "the flow has said 3 lines; what follows is left out"
    assert rows(database, LINES) == ["0", "1", "2", left_out, "failed"]


def test_a_flush_writes_only_so_much_and_the_rest_next_time(
    database: Database, log: TaskLog
) -> None:
    said = [str(number) for number in range(LINES_AT_ONCE + 1)]
    for line in said:
        log.say("test", line)

    flush(database, [log])
    assert rows(database, LINES) == said[:-1]
    flush(database, [log])

    assert rows(database, LINES) == said
