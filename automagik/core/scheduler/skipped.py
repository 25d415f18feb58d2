"""The record of occurrences that did not become tasks."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from automagik.core.scheduler.new_tasks import as_json

_TELL = text("""
INSERT INTO skipped_occurrences (schedule_id, first_at, last_at, reason)
SELECT schedule_id, first_at, last_at, reason
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (schedule_id uuid, first_at timestamptz,
    last_at timestamptz, reason text)
""")


def tell_skipped(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Each with `schedule_id`, `first_at`, `last_at` and `reason`: occurrences in a row.

    Who asks holds the lock of the schedules.
    """
    if rows:
        connection.execute(_TELL, {"rows": as_json(rows)})
