"""SourceManager: the LangFlow servers we know, and the keys to them.

A URL or a key is stored only after the server has accepted it. Keys are encrypted at rest and are
never given out: who wants to talk to a source asks for a client.
"""

import re
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import delete, func, select

from automagik.core.config import Settings
from automagik.core.database.lookup import find
from automagik.core.database.models import FlowRow, SourceRow
from automagik.core.database.session import WAKE, Database, notify
from automagik.core.encryption import Keyring, SecretUnreadable
from automagik.core.exceptions import Conflict, InvalidInput, NotFound
from automagik.core.flows import source_rows
from automagik.core.flows.exceptions import RemoteError, SourceUnauthorized
from automagik.core.flows.source_url import normalize_source_url, same_server
from automagik.core.flows.values import FlowBaggage, Source, SourceCheck, SourceOption

if TYPE_CHECKING:
    from automagik.core.flows.remote import RemoteFlows

DEFAULT_SOURCE = "default"
"""The source that LANGFLOW_API_URL and LANGFLOW_API_KEY define."""
DEFAULT_MAX_PARALLEL_RUNS = 8

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class SourceManager:
    """Adds, reads, checks and changes sources. Every method raises DatabaseUnreachable."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._keyring = Keyring.of(settings)

    def add(
        self,
        name: str,
        url: str,
        *,
        api_key: SecretStr | None = None,
        max_parallel_runs: int = DEFAULT_MAX_PARALLEL_RUNS,
        max_runs_per_minute: int | None = None,
    ) -> Source:
        """Raises InvalidInput, Conflict when the name is taken, and RemoteError."""
        values = {
            "name": checked_source_name(name),
            "max_parallel_runs": _checked(max_parallel_runs, "parallel run"),
            "max_runs_per_minute": _checked(max_runs_per_minute, "run a minute"),
        }
        with self._database.transaction() as connection:
            source_rows.require_free(connection, name)
        values |= self.accepted(url, api_key)
        with self._database.transaction() as connection:
            return source_rows.store_new(connection, values)

    def list(self) -> Sequence[Source]:
        """By name."""
        with self._database.transaction() as connection:
            return source_rows.load_all(connection)

    def get(self, reference: str) -> Source:
        """The source meant by a name, an id or the beginning of one. Raises NotFound, Ambiguous."""
        with self._database.transaction() as connection:
            source_id = find(connection, SourceRow, reference, noun="source")
            return source_rows.load(connection, source_id)

    def update(
        self,
        source: Source,
        *,
        name: str | None = None,
        url: str | None = None,
        api_key: SecretStr | None = None,
        max_parallel_runs: int | None = None,
        max_runs_per_minute: int | None = None,
        unset: Collection[SourceOption] = (),
    ) -> Source:
        """Changes what is given; a new URL or key is tried at the server first.

        Another server needs a key of its own, or `unset`. Raises InvalidInput, NotFound, Conflict
        when the name is taken, and RemoteError.
        """
        values: source_rows.Values = {}
        if name is not None and name != source.name:
            values["name"] = checked_source_name(name)
        if max_parallel_runs is not None:
            values["max_parallel_runs"] = _checked(max_parallel_runs, "parallel run")
        if max_runs_per_minute is not None or SourceOption.MAX_PER_MINUTE in unset:
            values["max_runs_per_minute"] = _checked(max_runs_per_minute, "run a minute")
            # The old rate may have used up minutes ahead.
            values["rate_used_until"] = None
        without_key = SourceOption.API_KEY in unset
        if without_key and api_key is not None:
            raise InvalidInput("A new api-key is given and unset at the same time.")
        if url is not None or api_key is not None or without_key:
            kept = None if without_key else source
            values |= self.accepted(url or source.url, api_key, of=kept)
        return self._store(source, values)

    def accepted(
        self, url: str, api_key: SecretStr | None, *, of: Source | None = None
    ) -> source_rows.Values:
        """What to store of a URL and a key, by default that of a source, which the server accepts.

        Raises InvalidInput, also for the key of a source that was given for another server,
        RemoteError, NotFound, SecretUnreadable.
        """
        url = normalize_source_url(url)
        key = api_key or (self._kept_key(of, url) if of else None)
        remote = self._remote(url, key)
        version = remote.version().version
        remote.check_key()
        return {
            "url": url,
            "api_key_encrypted": self._keyring.encrypt(key) if key else None,
            "version": version,
            "checked_at": func.now(),
        }

    def has_key(self, source: Source, api_key: SecretStr) -> bool:
        """Whether it is this one that is stored, and can be read. Raises NotFound."""
        return self._readable_key(source) == api_key

    def disable(self, source: Source, *, note: str | None = None) -> Source:
        """It gets no runs until it is enabled; those under way go on. Raises NotFound.

        What is asked for by hand waits, what its schedules' clocks bring meanwhile is skipped.
        Twice is once; a new note replaces the old.
        """
        values: source_rows.Values = {
            "disabled_at": func.coalesce(SourceRow.disabled_at, func.now())
        }
        return self._store(source, values | ({"disabled_reason": note} if note else {}))

    def enable(self, source: Source) -> Source:
        """What waits for it may start, at once. Raises NotFound."""
        return self._store(source, {"disabled_at": None, "disabled_reason": None})

    def test(self, source: Source) -> SourceCheck:
        """Asks the server; what is wrong with it is part of the answer. Raises NotFound.

        What a reachable server says of its version is stored.
        """
        check = self._asked(SourceCheck(source=source))
        if check.version is None:
            return check
        values = {"version": check.version, "checked_at": func.now()}
        with self._database.transaction() as connection:
            return replace(check, source=source_rows.store_changed(connection, source.id, values))

    def weigh(self, source: Source) -> FlowBaggage:
        """What would go with the source's flows."""
        # With it comes the room of schedules, which other commands do without.
        from automagik.core.flows.deletion import weigh

        with self._database.long_transaction() as connection:
            return weigh(connection, FlowRow.source_id == source.id)

    def delete(self, source: Source, *, with_flows: bool = False) -> None:
        """Raises NotFound, and Conflict when it has flows, or one of them is running."""
        from automagik.core.flows.deletion import delete_flows
        from automagik.core.scheduler import chains

        of_this = FlowRow.source_id == source.id
        with self._database.long_transaction() as connection:
            # Before the source: so does who applies files.
            chains.lock_chains(connection)
            # Until the end no sync can add a flow. Tasks can still be added: who fires a schedule
            # would wait for us, and we for the schedule.
            lock = select(SourceRow.id).where(SourceRow.id == source.id)
            if connection.scalar(lock.with_for_update(key_share=True)) is None:
                raise NotFound(f"There is no source {source.name!r}.")
            flows = connection.scalar(select(func.count()).where(of_this)) or 0
            if flows and not with_flows:
                raise Conflict(
                    f"The source {source.name!r} has {flows} flows.",
                    hint="Delete them too, with their schedules and tasks: --with-flows",
                )
            delete_flows(connection, of_this)
            connection.execute(delete(SourceRow).where(SourceRow.id == source.id))

    def ensure_default(self) -> Source | None:
        """Makes the source `default` what the settings say; None when they say nothing.

        The server is asked only when something changes. Raises InvalidInput, RemoteError.
        """
        if self._settings.langflow_api_url is None:
            return None
        url, key = normalize_source_url(self._settings.langflow_api_url), self._configured_key()
        known = next((s for s in self.list() if s.name == DEFAULT_SOURCE), None)
        if known is None:
            return self.add(DEFAULT_SOURCE, url, api_key=key)
        if known.url == url and key in (None, self._readable_key(known)):
            return known
        unset = [SourceOption.API_KEY] if key is None and needs_key(known, url) else ()
        return self.update(known, url=url, api_key=key, unset=unset)

    def client(self, source: Source | UUID) -> "RemoteFlows":
        """Raises NotFound, SecretUnreadable."""
        source_id = source if isinstance(source, UUID) else source.id
        return self._remote(*self._stored_access(source_id))

    def _store(self, source: Source, values: source_rows.Values) -> Source:
        with self._database.transaction() as connection:
            notify(connection, WAKE)
            return source_rows.store_changed(connection, source.id, values)

    def _asked(self, check: SourceCheck) -> SourceCheck:
        try:
            remote = self.client(check.source)
            started = time.monotonic()
            version = remote.version().version
            latency = timedelta(seconds=time.monotonic() - started)
            check = replace(check, version=version, latency=latency)
            remote.check_key()
            check = replace(check, key_valid=True)
            return replace(check, flows=len(remote.list_flows()))
        except SourceUnauthorized as error:
            return replace(check, key_valid=False, error=error)
        except (RemoteError, SecretUnreadable) as error:
            return replace(check, error=error)

    def _remote(self, url: str, api_key: SecretStr | None) -> "RemoteFlows":
        # With requests it takes a while to import, and who only lists sources calls none.
        from automagik.core.flows.remote import RemoteFlows

        return RemoteFlows(
            url,
            api_key or SecretStr(""),
            connect_timeout=timedelta(seconds=self._settings.connect_timeout_seconds),
            max_answer_bytes=self._settings.max_answer_bytes,
        )

    def _stored_access(self, source_id: UUID) -> tuple[str, SecretStr | None]:
        """The URL and the key. Raises NotFound, SecretUnreadable."""
        query = select(SourceRow.url, SourceRow.api_key_encrypted).where(SourceRow.id == source_id)
        with self._database.transaction() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise NotFound(f"There is no source {source_id}.")
        encrypted = row.api_key_encrypted
        return row.url, self._keyring.decrypt(encrypted) if encrypted else None

    def _kept_key(self, source: Source, url: str) -> SecretStr | None:
        known, key = self._stored_access(source.id)
        if key is not None and not same_server(known, url):
            hint = "Give the key for it: --api-key-file FILE, or none: --unset api-key"
            raise key_stays(source.name, hint=hint)
        return key

    def _configured_key(self) -> SecretStr | None:
        key = self._settings.langflow_api_key
        return key if key and key.get_secret_value() else None

    def _readable_key(self, source: Source) -> SecretStr | None:
        """None also when it cannot be decrypted: then the configured one replaces it."""
        try:
            return self._stored_access(source.id)[1]
        except SecretUnreadable:
            return None


def needs_key(source: Source, url: str) -> bool:
    """Whether a key must be given with this new URL. Raises InvalidInput."""
    return source.has_api_key and not same_server(source.url, normalize_source_url(url))


def key_stays(name: str, *, hint: str) -> InvalidInput:
    """Whoever may change a URL could have the key sent to where they read it."""
    message = f"The API key of source {name!r} is not sent to another server than it was given for."
    return InvalidInput(message, hint=hint)


def checked_source_name(name: str) -> str:
    """Raises InvalidInput."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} is no name for a source.",
            hint="Use up to 63 letters, digits, dots, dashes and underscores.",
        )
    return name


def _checked(limit: int | None, what: str) -> int | None:
    if limit is not None and limit < 1:
        raise InvalidInput(f"A source needs at least 1 {what}.")
    return limit
