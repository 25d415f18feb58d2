"""One sync under way: fetch, analyze, choose, store, note."""

from collections.abc import Callable, Iterator

from sqlalchemy import Connection, func, select, update

from automagik.core.database.models import FlowRow, SourceRow
from automagik.core.database.session import Database
from automagik.core.exceptions import NotFound
from automagik.core.flows.analyzer import FlowAnalysis, analyze
from automagik.core.flows.choosing import Components, choose_components
from automagik.core.flows.exceptions import (
    RemoteError,
    RemoteFlowNotFound,
    SourceUnauthorized,
    SourceUnreachable,
)
from automagik.core.flows.flow_store import Snapshot, StoredFlow, store
from automagik.core.flows.problems import ProblemCode
from automagik.core.flows.remote import RemoteFlows
from automagik.core.flows.remote_reference import Wanted
from automagik.core.flows.sync_report import Change, Choice, Choose, SyncedFlow
from automagik.core.flows.values import Source

OnFlow = Callable[[SyncedFlow], None]

_CHOICES = {ProblemCode.SEVERAL_INPUTS, ProblemCode.SEVERAL_OUTPUTS}


class SyncRun:
    """Syncs flow by flow and notes what became of each."""

    def __init__(
        self,
        database: Database,
        *,
        wanted: Components,
        choose: Choose | None,
        on_flow: OnFlow | None,
    ) -> None:
        self._database = database
        self._wanted = wanted
        self._choose = choose
        self._on_flow = on_flow
        self.flows: list[SyncedFlow] = []

    def one(self, wanted: Wanted) -> None:
        """Raises RemoteError, ComponentChoiceNeeded."""
        self._note(self._fetch_and_store(wanted))

    def all(self, source: Source, remote: RemoteFlows) -> None:
        """Raises RemoteError when the source itself fails; one flow that fails is noted."""
        seen: set[str] = set()
        for wanted in self._listed(source, remote):
            try:
                self._note(self._fetch_and_store(wanted))
            except RemoteFlowNotFound:
                continue
            except (SourceUnreachable, SourceUnauthorized):
                raise
            except RemoteError as error:
                self._note(_failed(wanted, error))
            seen.add(wanted.remote_id)
        self._mark_gone(source, seen)

    def _listed(self, source: Source, remote: RemoteFlows) -> Iterator[Wanted]:
        """The user's own flows, and those of LangFlow's examples that somebody synced by name."""
        headers = {header.id: header for header in remote.list_flows()}
        known = select(FlowRow.remote_id).where(
            FlowRow.source_id == source.id, FlowRow.gone_at.is_(None)
        )
        with self._database.transaction() as connection:
            missing = set(connection.scalars(known)) - headers.keys()
        if missing:
            examples = remote.list_flows(include_examples=True)
            headers |= {header.id: header for header in examples if header.id in missing}
        for header in headers.values():
            yield Wanted(source=source, remote=remote, remote_id=header.id, name=header.name)

    def _fetch_and_store(self, wanted: Wanted) -> SyncedFlow:
        flow = wanted.remote.get_flow(wanted.remote_id)
        analysis = analyze(flow.data)
        chosen, open_choices = choose_components(
            flow.name,
            analysis,
            wanted=self._wanted,
            earlier=self._earlier(wanted),
            ask=self._choose,
        )
        snapshot = Snapshot(
            source_id=wanted.source.id,
            remote=flow,
            analysis=analysis,
            input_component=chosen.input,
            output_component=chosen.output,
        )
        with self._database.transaction() as connection:
            _lock(connection, wanted.source)
            stored = store(connection, snapshot)
        return _synced(wanted.source, snapshot, stored, open_choices)

    def _earlier(self, wanted: Wanted) -> Components:
        query = select(FlowRow.input_component, FlowRow.output_component).where(
            FlowRow.source_id == wanted.source.id, FlowRow.remote_id == wanted.remote_id
        )
        with self._database.transaction() as connection:
            row = connection.execute(query).one_or_none()
        return Components(input=row[0], output=row[1]) if row else Components()

    def _mark_gone(self, source: Source, seen: set[str]) -> None:
        here = FlowRow.source_id == source.id, FlowRow.gone_at.is_(None)
        statement = (
            update(FlowRow)
            .where(*here, FlowRow.remote_id.not_in(seen))
            .values(gone_at=func.now(), updated_at=func.now())
            .returning(FlowRow.id, FlowRow.remote_id, FlowRow.name)
        )
        with self._database.transaction() as connection:
            rows = connection.execute(statement).all()
        for flow_id, remote_id, name in sorted(rows, key=lambda row: str(row.name)):
            self._note(
                SyncedFlow(
                    source_name=source.name,
                    remote_id=remote_id,
                    name=name,
                    change=Change.GONE,
                    flow_id=flow_id,
                )
            )

    def _note(self, flow: SyncedFlow) -> None:
        self.flows.append(flow)
        if self._on_flow:
            self._on_flow(flow)


def _lock(connection: Connection, source: Source) -> None:
    """Two syncs of a source take turns, flow by flow. Raises NotFound when it was deleted."""
    query = select(SourceRow.id).where(SourceRow.id == source.id)
    if connection.scalar(query.with_for_update(key_share=True)) is None:
        raise NotFound(f"There is no source {source.name!r}.")


def _synced(
    source: Source, snapshot: Snapshot, stored: StoredFlow, choices: tuple[Choice, ...]
) -> SyncedFlow:
    return SyncedFlow(
        source_name=source.name,
        remote_id=snapshot.remote.id,
        name=snapshot.remote.name,
        change=_change(stored),
        what=stored.what,
        flow_id=stored.id,
        version_number=stored.version_number,
        input_component=snapshot.input_component,
        output_component=snapshot.output_component,
        choices=choices,
        warnings=_warnings(snapshot.analysis),
    )


def _failed(wanted: Wanted, error: RemoteError) -> SyncedFlow:
    return SyncedFlow(
        source_name=wanted.source.name,
        remote_id=wanted.remote_id,
        name=wanted.name,
        change=Change.FAILED,
        error=error,
    )


def _change(stored: StoredFlow) -> Change:
    if stored.is_new:
        return Change.ADDED
    return Change.UPDATED if stored.what else Change.UNCHANGED


def _warnings(analysis: FlowAnalysis) -> tuple[str, ...]:
    """What people should know; open choices are said by themselves."""
    return tuple(p.message for p in analysis.problems if p.code not in _CHOICES)
