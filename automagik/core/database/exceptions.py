"""Errors of the database room."""

from automagik.core.exceptions import Conflict, Unreachable


class DatabaseUnreachable(Unreachable):
    """PostgreSQL does not answer."""

    code = "AM-DB"
    default_hint = "Check DATABASE_URL, or start everything with: automagik up"


class SchemaOutdated(Conflict):
    """The database schema does not fit this version of AutoMagik."""

    code = "AM-DB-SCHEMA"
    default_hint = "Run: automagik db upgrade"
