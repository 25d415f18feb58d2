"""Errors of the database room."""

from automagik.core.exceptions import Conflict, Unreachable


class DatabaseUnreachable(Unreachable):
    """PostgreSQL does not answer."""

    code = "AM-DB"
    default_hint = "Check DATABASE_URL, or start everything with: automagik up"


class DatabaseFull(DatabaseUnreachable):
    """The disk of PostgreSQL is full."""

    code = "AM-DB-FULL"
    default_hint = "Make room on its disk. Beats and workers then go on by themselves."


class ConnectionsExhausted(DatabaseUnreachable):
    """PostgreSQL takes no more connections."""

    code = "AM-DB-CONNECTIONS"
    default_hint = "Raise its limit of connections, or run fewer workers with fewer slots."


class DatabaseBusy(DatabaseUnreachable):
    """PostgreSQL broke off a statement."""

    code = "AM-DB-BUSY"
    default_hint = "Somebody holds a lock, or a timeout is too short. Try again later."


class DatabaseReadOnly(DatabaseUnreachable):
    """The database is read-only."""

    code = "AM-DB-READ-ONLY"
    default_hint = "DATABASE_URL must name the primary server, which accepts changes."


class SchemaOutdated(Conflict):
    """The database schema does not fit this version of AutoMagik."""

    code = "AM-DB-SCHEMA"
    default_hint = "Run: automagik db upgrade"
