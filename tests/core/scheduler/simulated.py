"""A clock that passes as told: all instants of the schedules move into the past instead."""

from datetime import timedelta

from sqlalchemy import text

from automagik.core.database.session import Database

_COLUMNS = {
    "schedules": (
        *("anchor_at", "next_run_at", "last_run_at", "counts_from", "updated_at"),
        *("held_from", "paused_until", "caught_up_from", "caught_up_until"),
    ),
    "tasks": ("scheduled_for", "run_at"),
    "skipped_occurrences": ("first_at", "last_at"),
}
# By way of a time long ago: an occurrence must not land on the one before it, not even in passing.
_FAR = timedelta(hours=1_000_000)


def pass_time(database: Database, length: timedelta) -> None:
    with database.transaction() as connection:
        for step in (_FAR + length, -_FAR):
            for table, columns in _COLUMNS.items():
                moves = ", ".join(
                    f"{name} = {name} - make_interval(secs => :s)" for name in columns
                )
                connection.execute(text(f"UPDATE {table} SET {moves}"), {"s": step.total_seconds()})
