"""What people may type to mean a row."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import Connection, insert

from automagik.core.config import Settings
from automagik.core.database.lookup import find, find_or_newest
from automagik.core.database.models import SourceRow, WorkerRow
from automagik.core.database.session import Database
from automagik.core.exceptions import Ambiguous, NotFound

FIRST = UUID("01980000-1111-7000-8000-000000000001")
SECOND = UUID("01980000-2222-7000-8000-000000000002")
THIRD = UUID("feedf00d-0000-7000-8000-000000000003")


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    """Three sources; the third has a name like the beginning of the second's id."""
    database = Database(settings.require_database_url())
    with database.transaction() as opened:
        for source_id, name in ((FIRST, "Prod"), (SECOND, "staging"), (THIRD, "01980000-2222")):
            opened.execute(insert(SourceRow).values(id=source_id, name=name, url="http://x"))
        yield opened
    database.dispose()


def test_name_in_any_case_id_or_its_beginning(connection: Connection) -> None:
    for reference, found in (
        ("Prod", FIRST),
        ("prod", FIRST),
        ("  staging ", SECOND),
        (str(SECOND), SECOND),
        (str(SECOND).upper(), SECOND),
        (SECOND.hex, SECOND),
        ("019800001111", FIRST),
        ("feed", THIRD),
    ):
        assert find(connection, SourceRow, reference, noun="source") == found, reference


def test_a_name_wins_over_the_beginning_of_an_id(connection: Connection) -> None:
    assert find(connection, SourceRow, "01980000-2222", noun="source") == THIRD


def test_an_exact_name_wins_over_the_same_in_other_case(connection: Connection) -> None:
    connection.execute(insert(SourceRow).values(name="prod", url="http://x"))

    assert find(connection, SourceRow, "Prod", noun="source") == FIRST
    with pytest.raises(Ambiguous):
        find(connection, SourceRow, "PROD", noun="source")


def test_the_beginning_of_several_ids_is_ambiguous(connection: Connection) -> None:
    with pytest.raises(Ambiguous, match=f"{FIRST}, {SECOND}"):
        find(connection, SourceRow, "0198", noun="source")


def test_what_is_unknown_names_the_nearest(connection: Connection) -> None:
    with pytest.raises(NotFound, match="no source 'stagign'") as missing:
        find(connection, SourceRow, "stagign", noun="source")

    assert missing.value.hint == "Did you mean 'staging'?"


def test_without_a_near_name_it_says_where_to_look(connection: Connection) -> None:
    with pytest.raises(NotFound) as missing:
        find(connection, SourceRow, "qqqq", noun="source")
    with pytest.raises(NotFound) as told:
        find(connection, SourceRow, "qqqq", noun="source", hint="Look there.")

    assert str(missing.value.hint).endswith("automagik sources list")
    assert told.value.hint == "Look there."


def test_anything_else_is_not_found(connection: Connection) -> None:
    for reference in ("", "019", "%", "_rod", "0198%", "x" * 1000, "f" * 33):
        with pytest.raises(NotFound):
            find(connection, SourceRow, reference, noun="source")


def test_the_newest_is_the_last_created(connection: Connection) -> None:
    assert find_or_newest(connection, SourceRow, "@last", noun="source") == THIRD
    with pytest.raises(NotFound, match="no worker yet"):
        find_or_newest(connection, WorkerRow, "@last", noun="worker")
