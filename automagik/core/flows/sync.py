"""FlowSync: bringing what we know of flows in line with their sources.

Each flow is fetched first and stored in one transaction of its own. Only a full sync of a source
may find that a flow is gone, and then it marks it: its history stays.
"""

from collections.abc import Sequence

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.encryption import SecretUnreadable
from automagik.core.exceptions import InvalidInput, NotFound
from automagik.core.flows.choosing import Components
from automagik.core.flows.exceptions import RemoteError
from automagik.core.flows.remote_reference import Listing, find_remote
from automagik.core.flows.sources import SourceManager
from automagik.core.flows.sync_report import Choose, SourceFailure, SyncReport
from automagik.core.flows.sync_run import OnFlow, SyncRun
from automagik.core.flows.values import Source


class FlowSync:
    """Syncs flows of the sources that are known. Every method raises DatabaseUnreachable."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._sources = SourceManager(database, settings)

    def sync(
        self,
        references: Sequence[str] = (),
        *,
        source: Source | str | None = None,
        input_component: str | None = None,
        output_component: str | None = None,
        choose: Choose | None = None,
        on_flow: OnFlow | None = None,
    ) -> SyncReport:
        """Syncs the flows that are named (name, endpoint name, id), or all; of one source, or all.

        `choose` is asked where a flow has several inputs or outputs; `on_flow` is told each flow as
        it is done. Of several sources one may fail and is reported; of one source that is raised.
        Raises InvalidInput, NotFound, Ambiguous, ComponentChoiceNeeded, RemoteError.
        """
        sources = self._chosen_sources(source)
        wanted = Components(input=input_component, output=output_component)
        if wanted != Components() and len(references) != 1:
            raise InvalidInput("Components can be chosen for one flow at a time: name it.")
        run = SyncRun(self._database, wanted=wanted, choose=choose, on_flow=on_flow)
        if references:
            return self._sync_named(run, references, sources)
        failures = [self._sync_all(run, each, is_only=len(sources) == 1) for each in sources]
        return SyncReport(flows=tuple(run.flows), failures=tuple(f for f in failures if f))

    def _sync_named(
        self, run: SyncRun, references: Sequence[str], sources: Sequence[Source]
    ) -> SyncReport:
        listings = [Listing.of(each, self._sources.client(each)) for each in sources]
        # All names are looked up before anything is stored.
        for found in [find_remote(self._database, listings, r) for r in references]:
            run.one(found)
        return SyncReport(flows=tuple(run.flows))

    def _sync_all(self, run: SyncRun, source: Source, *, is_only: bool) -> SourceFailure | None:
        try:
            run.all(source, self._sources.client(source))
        except (RemoteError, SecretUnreadable) as error:
            if is_only:
                raise
            return SourceFailure(source_name=source.name, error=error)
        return None

    def _chosen_sources(self, source: Source | str | None) -> Sequence[Source]:
        if source is not None:
            return [self._sources.get(source) if isinstance(source, str) else source]
        sources = self._sources.list()
        if not sources:
            raise NotFound(
                "There is no source to sync from.",
                hint="Add one with: automagik sources add NAME URL",
            )
        return sources
