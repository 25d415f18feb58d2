"""The schema: bringing it to a version and saying which one is there."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from automagik.core.config import with_driver
from automagik.core.database.exceptions import DatabaseBusy, SchemaOutdated
from automagik.core.database.patience import long_statements, patient_engine
from automagik.core.database.trouble import translated

logger = logging.getLogger(__name__)

# Only one process migrates at a time: the key of an advisory lock, without meaning.
_LOCK = 0x6175746F
# A migration that waits for a table makes everybody else wait behind it. So it steps back soon and
# tries again, all in all for as long as the patience.
LOCK_TIMEOUT = timedelta(seconds=1)
LOCK_PAUSE = timedelta(seconds=1)
LOCK_PATIENCE = timedelta(minutes=1)


def migrations_folder() -> Path:
    """Beside the package in a checkout, inside it when installed."""
    package = Path(__file__).resolve().parents[2]
    installed = package / "migrations"
    return installed if installed.exists() else package.parent / "migrations"


def head() -> str:
    """The newest revision this code knows. Revisions are numbered: `NNNN_what.py`."""
    return max(p.name[:4] for p in (migrations_folder() / "versions").glob("[0-9]*.py"))


def current(connection: Connection) -> str | None:
    """The revision of the database; None when it was never migrated."""
    exists = connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL"))
    return connection.scalar(text("SELECT version_num FROM alembic_version")) if exists else None


def require_current(connection: Connection) -> None:
    """Raises SchemaOutdated unless the database is exactly at this code's revision."""
    found, expected = current(connection), head()
    if found == expected:
        return
    if found is None:
        raise SchemaOutdated("The database is empty.", hint="Run: automagik db init")
    _require_known(found)
    raise SchemaOutdated(f"The database is at revision {found}, this AutoMagik needs {expected}.")


def create_database(database_url: str) -> bool:
    """Creates the database that the URL names, if it is missing; true when it did."""
    url = make_url(with_driver(database_url))
    engine = patient_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    try:
        with translated(), engine.connect() as connection:
            known = connection.scalar(
                text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": url.database}
            )
            if not known:
                quoted = engine.dialect.identifier_preparer.quote(str(url.database))
                connection.execute(text(f"CREATE DATABASE {quoted}"))
            return not known
    finally:
        engine.dispose()


def upgrade(database_url: str, revision: str = "head") -> None:
    """Safe beside running beats and workers: it lets them go first.

    Raises SchemaOutdated for a revision that is not known here, and DatabaseUnreachable, with its
    kinds. A failed migration leaves the schema as it was.
    """
    _migrate(database_url, "upgrade", revision)


def downgrade(database_url: str, revision: str) -> None:
    """Goes back to a revision, or to nothing with `base`. Data of later revisions is lost."""
    _migrate(database_url, "downgrade", revision)


def differences(database_url: str) -> list[str]:
    """What the tables and the models disagree about; empty when they agree."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from automagik.core.database.models import metadata

    with _connection(database_url) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return [str(difference) for difference in compare_metadata(context, metadata)]


def _migrate(database_url: str, verb: Literal["upgrade", "downgrade"], revision: str) -> None:
    # Alembic takes half a second to import, and most commands never migrate.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    give_up = time.monotonic() + LOCK_PATIENCE.total_seconds()
    while True:
        try:
            with migrating(database_url) as connection:
                config.attributes["connection"] = connection
                getattr(command, verb)(config, revision)
        except DatabaseBusy as error:
            if time.monotonic() > give_up:
                raise _blocked(error) from error
            logger.info("Trying again: %s", error.message)
            time.sleep(LOCK_PAUSE.total_seconds())
        else:
            return


@contextmanager
def migrating(database_url: str) -> Iterator[Connection]:
    """The transaction of a migration: one at a time, which never waits long for a table."""
    # What suits a run's short statements does not suit the rebuilding of a table.
    with _connection(database_url) as connection, long_statements(connection):
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        _require_known(current(connection))
        timeout = f"{LOCK_TIMEOUT // timedelta(milliseconds=1)}ms"
        connection.execute(text("SELECT set_config('lock_timeout', :it, true)"), {"it": timeout})
        yield connection


def _require_known(found: str | None) -> None:
    if found is not None and found > head():
        raise SchemaOutdated(
            f"The database is at revision {found}, newer than this AutoMagik knows ({head()}).",
            hint="Upgrade AutoMagik on this host.",
        )


def _blocked(error: DatabaseBusy) -> DatabaseBusy:
    return DatabaseBusy(
        f"For {LOCK_PATIENCE.total_seconds():g} s the tables were in use without a gap. Nothing was"
        f" changed. {error.message}",
        hint="Look in pg_stat_activity for a transaction that does not end, and run it again.",
    )


@contextmanager
def _connection(database_url: str) -> Iterator[Connection]:
    engine = patient_engine(with_driver(database_url))
    try:
        with translated(), engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()
