"""Beats, workers and people on backfills and a live schedule, in every order that can be found."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from automagik.core.config import Settings
from automagik.core.database.models import TaskRow
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from automagik.core.scheduler.backfill_manager import BackfillManager
from automagik.core.scheduler.backfills import advance
from automagik.core.scheduler.fire import fire
from automagik.core.scheduler.policies import Overlap
from automagik.core.tasks import by_hand
from automagik.core.tasks.states import TaskState
from tests.core.records import add_schedules, dying, put, rows
from tests.core.scheduler.stored import add_flow

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
OPEN = """
SELECT id FROM tasks WHERE schedule_id = :schedule AND backfill_id IS NOT NULL = :backfill
    AND state NOT IN ('completed', 'failed', 'cancelled') ORDER BY id
"""
INSTANTS = "SELECT scheduled_for FROM tasks WHERE schedule_id = :schedule AND scheduled_for < :end"

DEEDS = st.lists(
    st.one_of(
        st.sampled_from(["advance", "advance", "die", "live", "live ends"]),
        st.tuples(st.sampled_from(["complete", "fail", "cancel", "delete"]), st.integers(0, 5)),
    ),
    max_size=25,
)


class Life:
    """One schedule with one backfill, and what happens to them."""

    def __init__(
        self, database: Database, settings: Settings, flow: Flow, *, overlap: Overlap, most: int
    ) -> None:
        self._database = database
        self._settings = settings
        self.most = most
        [self.schedule] = add_schedules(
            database, flow, late=-HOUR, type="cron", expr="0 * * * *", overlap="skip"
        )
        manager = BackfillManager(database)
        wanted = manager.prospect(self.schedule, begin=BEGIN, end=BEGIN + 8 * HOUR)
        self.backfill = manager.start(wanted, actor="me", overlap=overlap, max_concurrent=most).id

    def do(self, deed: str | tuple[str, int]) -> None:
        match deed:
            case "advance":
                self._step()
            case "die":
                with dying(self._database) as connection:
                    advance(connection, settings=self._settings, actor="beat")
            case "live":
                put_due = "UPDATE schedules SET next_run_at = now() WHERE id = :id RETURNING 1"
                rows(self._database, put_due, id=self.schedule)
                with self._database.transaction() as connection:
                    fire(connection, settings=self._settings, actor="beat")
            case "live ends":
                for each in self.open(backfill=False):
                    self._end(each, TaskState.COMPLETED)
            case (what, which):
                self._to_one(str(what), int(which))

    def finish(self) -> None:
        """Nobody stands in its way any more."""
        for _ in range(30):
            self.do("live ends")
            self._step()
            for each in self.open(backfill=True):
                self._end(each, TaskState.COMPLETED)

    def open(self, *, backfill: bool) -> Sequence[UUID]:
        return rows(self._database, OPEN, schedule=self.schedule, backfill=backfill)

    def instants(self) -> Sequence[datetime]:
        return rows(self._database, INSTANTS, schedule=self.schedule, end=BEGIN + 8 * HOUR)

    def _step(self) -> None:
        with self._database.transaction() as connection:
            advance(connection, settings=self._settings, actor="beat")

    def _to_one(self, what: str, which: int) -> None:
        found = self.open(backfill=True)
        if which >= len(found):
            return
        with self._database.transaction() as connection:
            match what:
                case "cancel":
                    by_hand.cancel(connection, found[which], actor="me", reason=None)
                case "delete":
                    by_hand.remove(connection, found[which])
        if what in ("complete", "fail"):
            state = TaskState.COMPLETED if what == "complete" else TaskState.FAILED
            self._end(found[which], state)

    def _end(self, task_id: UUID, state: TaskState) -> None:
        now = datetime.now(UTC)
        columns = {"state": TaskState.RUNNING, "lease_expires_at": now + HOUR}
        put(self._database, TaskRow, task_id, **columns)
        columns = {"state": state, "lease_expires_at": None, "finished_at": now}
        put(self._database, TaskRow, task_id, **columns)


def test_whatever_happens_no_more_run_than_may_and_each_occurrence_has_its_turn_once(
    database: Database, settings: Settings
) -> None:
    flow = add_flow(database)

    @hypothesis_settings(
        max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    @given(
        DEEDS,
        st.sampled_from([Overlap.ALLOW_ALL, Overlap.SKIP, Overlap.BUFFER_ALL]),
        st.integers(1, 4),
    )
    def live(deeds: list[str | tuple[str, int]], overlap: Overlap, most: int) -> None:
        most = 1 if overlap is Overlap.BUFFER_ALL else most
        life = Life(database, settings, flow, overlap=overlap, most=most)
        deleted = 0
        for deed in deeds:
            before = len(life.open(backfill=True))
            others = len(life.open(backfill=False))
            life.do(deed)
            after = len(life.open(backfill=True))
            assert after <= most
            deleted += deed[0] == "delete" and after < before
            if overlap is not Overlap.ALLOW_ALL and others:
                assert after <= before
        life.finish()

        done = BackfillManager(database).get(life.backfill)
        instants = life.instants()
        assert done.state == "completed"
        assert len(set(instants)) == len(instants) == done.made - deleted
        assert done.made + done.passed_by == 8
        assert overlap is Overlap.SKIP or done.passed_by == 0

    live()
