"""Sources, asked now, and the secrets we keep for them."""

from collections.abc import Iterator

from sqlalchemy import select

from automagik.core.config import Settings
from automagik.core.database.migrate import require_current
from automagik.core.database.models import SourceRow
from automagik.core.encryption import Keyring
from automagik.core.flows.sources import SourceManager
from automagik.core.flows.values import Breaker, SourceCheck
from automagik.core.health.advisories import advisories_for, safe_version
from automagik.core.health.check import Check, error, ok, warning
from automagik.core.health.facts import opened


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
            tested = SourceCheck(source=source) if is_disabled else manager.test(source)
            yield source_check(tested)
            yield from source_warnings(tested)


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


def source_warnings(tested: SourceCheck) -> Iterator[Check]:
    """What should be known of one that answers."""
    name = f"Source {tested.source.name}"
    if tested.error is None and tested.source.breaker is not Breaker.CLOSED:
        found = f"it answers, but was found down: {tested.source.breaker_reason}"
        yield warning(f"{name} breaker", found, fix="None: the next run that tries it closes it.")
    known = advisories_for(tested.version)
    if known:
        worst = known[-1]
        words = ", ".join(f"{each.cve} ({each.what})" for each in known)
        fix = f"Upgrade it to {safe_version(known)} or newer: {worst.link}"
        yield warning(f"{name} security", f"LangFlow {tested.version} has {words}", fix=fix)


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
