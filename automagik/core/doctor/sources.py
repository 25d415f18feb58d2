"""Sources, asked now, and the secrets we keep for them."""

from collections.abc import Iterator

from sqlalchemy import select

from automagik.core.config import Settings
from automagik.core.database.migrate import require_current
from automagik.core.database.models import SourceRow
from automagik.core.doctor.check import Check, error, ok, warning
from automagik.core.encryption import Keyring
from automagik.core.facts import opened
from automagik.core.flows.sources import SourceManager
from automagik.core.flows.values import SourceCheck


def check_sources(settings: Settings) -> Iterator[Check]:
    with opened(settings) as database:
        with database.transaction() as connection:
            require_current(connection)
        manager = SourceManager(database, settings)
        sources = manager.list()
        if not sources:
            yield warning("Sources", "none yet", fix="Add one: automagik sources add NAME URL")
        for source in sources:
            is_disabled = source.disabled_at is not None
            yield source_check(SourceCheck(source=source) if is_disabled else manager.test(source))


def source_check(tested: SourceCheck) -> Check:
    """The rule for one source."""
    source = tested.source
    name = f"Source {source.name}"
    if source.disabled_at is not None:
        note = f" ({source.disabled_reason})" if source.disabled_reason else ""
        fix = f"When it may go on: automagik sources enable {source.name}"
        return warning(name, f"disabled{note}, so its tasks wait", fix=fix)
    if tested.error is not None:
        return error(name, tested.error.message, fix=tested.error.hint)
    key = "key valid" if tested.key_valid else "key not checked"
    latency = tested.latency.total_seconds() * 1000 if tested.latency else 0
    return ok(name, f"LangFlow {tested.version}, {key}, answers in {latency:.0f} ms")


def check_encryption(settings: Settings) -> Iterator[Check]:
    keyring = Keyring.of(settings)
    query = select(SourceRow.api_key_encrypted).where(SourceRow.api_key_encrypted.is_not(None))
    with opened(settings) as database, database.transaction() as connection:
        require_current(connection)
        tokens = [str(token) for token in connection.scalars(query)]
    for token in tokens:
        # Raises what is wrong and how to mend it.
        keyring.decrypt(token)
    place = "AUTOMAGIK_SECRET_KEY" if keyring.configured else str(keyring.file)
    if keyring.configured or keyring.file.exists():
        yield ok("Encryption", f"key in {place}, reads all {len(tokens)} stored")
    else:
        yield ok("Encryption", f"no secret stored yet; the first one makes {place}")
