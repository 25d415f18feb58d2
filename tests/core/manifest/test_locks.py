"""Who applies files holds as little as it takes, for as short as it takes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, text

from automagik.core.database.models import CalendarRow
from automagik.core.flows.values import Flow
from automagik.core.manifest.plan import Choice
from automagik.core.manifest.values import Plan
from automagik.core.scheduler.chains import lock_chains
from tests.core.embedded.patience import eventually
from tests.core.manifest.files import Files
from tests.core.records import WAITS_FOR_A_ROW, rows
from tests.core.scheduler.stored import add_flow

CLOCK = "project: shop\nschedules:\n  office: {flow: Echo, cron: 0 9 * * *, calendar: de}\n"
DAYS = "project: shop\ncalendars: {de: {days: {2035-12-25: }}}\n"
CHAIN = f"{CLOCK}  chain: {{flow: Echo, after: office}}\n"

_SHARED_CALENDARS = text("SELECT name FROM calendars FOR SHARE")


def share_calendars(connection: Connection) -> None:
    """As who makes a schedule with one of them does."""
    connection.execute(_SHARED_CALENDARS)


@pytest.fixture
def there(files: Files, flow: Flow) -> Files:
    add_flow(files.database, "Slow")
    files.apply(DAYS)
    files.apply(CLOCK)
    return files


def waits(files: Files, lock: Callable[[Connection], None], act: Callable[[], Plan]) -> bool:
    """Whether it can only be done once somebody else has let go."""
    with ThreadPoolExecutor(1) as pool:
        with files.database.transaction() as other:
            lock(other)
            doing = pool.submit(act)
            eventually(
                lambda: doing.done() or rows(files.database, WAITS_FOR_A_ROW) == [True], seconds=30
            )
            is_waiting = not doing.done()
        assert doing.result(timeout=30).steps != ()
    return is_waiting


@pytest.mark.parametrize(
    "lock, said, is_waited_for",
    [
        (lock_chains, CLOCK.replace("0 9", "0 8"), False),
        (lock_chains, CLOCK.replace("office", "other"), False),
        (lock_chains, CLOCK.replace("Echo", "Slow"), True),
        (lock_chains, CHAIN, True),
        (share_calendars, CLOCK.replace("0 9", "0 8"), False),
        (share_calendars, CHAIN, False),
        (share_calendars, DAYS.replace("2035", "2036"), True),
    ],
)
def test_only_what_a_change_concerns_is_locked(
    there: Files, lock: Callable[[Connection], None], said: str, *, is_waited_for: bool
) -> None:
    assert waits(there, lock, lambda: there.plan(said)) is is_waited_for
    assert waits(there, lock, lambda: there.apply(said)) is is_waited_for


def test_what_is_deleted_may_have_followers(there: Files) -> None:
    def act() -> Plan:
        return there.apply("project: shop\n", choice=Choice(prune=True))

    assert waits(there, lock_chains, act)


def test_all_that_takes_a_while_is_found_out_before_anything_is_locked(there: Files) -> None:
    """What is wrong is told although somebody else holds all the locks."""
    strict = Files(
        database=there.database,
        settings=there.settings.model_copy(update={"min_interval_seconds": 120.0}),
        folder=there.folder,
    )
    said = CLOCK.replace("0 9 * * *", "'* * * * *'") + "  lost: {flow: Ecco, every: 5m}\n"

    with there.database.transaction() as other:
        lock_chains(other)
        other.execute(text("SELECT pg_advisory_xact_lock(2718281828)"))
        other.execute(text(f"SELECT name FROM {CalendarRow.__tablename__} FOR UPDATE"))
        other.execute(text("SELECT name FROM schedules FOR UPDATE"))
        found = strict.problems(said)

    assert [line.split(": ")[1] for line in found] == [
        "schedules.office.cron",
        "schedules.lost.flow",
    ]
