"""The schema: bringing it to a version and saying which one is there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from automagik.core.config import with_driver
from automagik.core.database.exceptions import DatabaseUnreachable, SchemaOutdated

# Only one process migrates at a time: the key of an advisory lock, without meaning.
_LOCK = 0x6175746F


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
    if found > expected:
        raise SchemaOutdated(
            f"The database is at revision {found}, newer than this AutoMagik knows ({expected}).",
            hint="Upgrade AutoMagik on this host.",
        )
    raise SchemaOutdated(f"The database is at revision {found}, this AutoMagik needs {expected}.")


def create_database(database_url: str) -> bool:
    """Creates the database that the URL names, if it is missing; true when it did."""
    url = make_url(with_driver(database_url))
    engine = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            known = connection.scalar(
                text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": url.database}
            )
            if not known:
                quoted = engine.dialect.identifier_preparer.quote(str(url.database))
                connection.execute(text(f"CREATE DATABASE {quoted}"))
            return not known
    except OperationalError as error:
        raise DatabaseUnreachable(str(error.orig).strip()) from error
    finally:
        engine.dispose()


def upgrade(database_url: str, revision: str = "head") -> None:
    """Raises DatabaseUnreachable; a failed migration leaves the schema as it was."""
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
    with _connection(database_url) as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config.attributes["connection"] = connection
        getattr(command, verb)(config, revision)


@contextmanager
def _connection(database_url: str) -> Iterator[Connection]:
    engine = create_engine(with_driver(database_url))
    try:
        with engine.begin() as connection:
            yield connection
    except OperationalError as error:
        raise DatabaseUnreachable(str(error.orig).strip()) from error
    finally:
        engine.dispose()
