"""What `automagik db verify` finds in the tables of a test."""

from automagik.core.database.session import Database
from automagik.core.verification import verify_history


def violations(database: Database) -> list[str]:
    """Empty when every promise was kept."""
    with database.long_transaction() as connection:
        return [str(violation) for violation in verify_history(connection).violations]
