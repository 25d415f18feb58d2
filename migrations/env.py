"""Migrates over the connection that `automagik db` hands in, or over DATABASE_URL."""

from alembic import context
from sqlalchemy import Connection

from automagik.core.config import get_settings
from automagik.core.database.migrate import migrating
from automagik.core.database.models import metadata


def migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    with migrating(get_settings().require_database_url()) as own:
        migrate(own)
