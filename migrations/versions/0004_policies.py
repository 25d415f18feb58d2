"""policies of schedules: overlap, misfire, jitter, spread, bounds and turns."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

OVERLAP = "'allow-all', 'skip', 'buffer-one', 'buffer-all', 'cancel-other', 'terminate-other'"
CHECKS = {
    "overlap_known": f"overlap IN ({OVERLAP})",
    "misfire_known": "misfire IN ('run-once', 'skip', 'run-all')",
    "catch_up_order_known": "catch_up_order IN ('oldest-first', 'newest-first')",
    "misfire_grace_finite": "misfire_grace_seconds >= 0 AND misfire_grace_seconds < 'infinity'",
    "catch_up_finite": "catch_up_seconds > 0 AND catch_up_seconds < 'infinity'",
    "jitter_finite": "jitter_seconds > 0 AND jitter_seconds < 'infinity'",
    "spread_finite": "spread_seconds > 0 AND spread_seconds < 'infinity'",
    "max_runs_positive": "max_runs > 0",
    "pause_after_failures_positive": "pause_after_failures > 0",
    "caught_up_or_not": "(caught_up_from IS NULL) = (caught_up_until IS NULL)",
}
DURATIONS = ("misfire_grace_seconds", "catch_up_seconds", "jitter_seconds", "spread_seconds")
CHOICES = {"overlap": "allow-all", "misfire": "run-once", "catch_up_order": "oldest-first"}
COUNTS = ("max_runs", "pause_after_failures")
INSTANTS = ("caught_up_from", "caught_up_until")
DISPATCHABLE = "state IN ('pending', 'waiting')"
UNFINISHED = "state IN ('pending', 'queued', 'running', 'waiting', 'paused')"


def upgrade() -> None:
    for name, default in CHOICES.items():
        _add(name, sa.Text(), default=f"'{default}'")
    for name in DURATIONS:
        _add(name, sa.Double())
    for name in COUNTS:
        _add(name, sa.Integer())
    _add("at_most_once", sa.Boolean())
    _add("runs", sa.Integer(), default="0")
    for name in INSTANTS:
        _add(name, sa.DateTime(timezone=True))
    for name, condition in CHECKS.items():
        op.create_check_constraint(op.f(f"ck_schedules_{name}"), "schedules", condition)
    op.create_index(
        "ix_schedules_run_all",
        "schedules",
        ["next_run_at"],
        postgresql_where=sa.text("status = 'active' AND misfire = 'run-all'"),
    )
    op.add_column(
        "tasks",
        sa.Column("in_turn", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.add_column(
        "tasks",
        sa.Column(
            "waits_in_turn",
            sa.Boolean(),
            sa.Computed("in_turn AND schedule_id IS NOT NULL", persisted=True),
            nullable=False,
        ),
    )
    _index_dispatchable("waits_in_turn", "turn_at")
    op.create_index(
        "ix_tasks_in_turn",
        "tasks",
        ["schedule_id"],
        postgresql_where=sa.text(f"waits_in_turn AND {DISPATCHABLE}"),
    )
    op.create_index(
        "ix_tasks_unfinished",
        "tasks",
        ["schedule_id", "id"],
        postgresql_where=sa.text(f"schedule_id IS NOT NULL AND {UNFINISHED}"),
    )


def downgrade() -> None:
    for name in ("ix_tasks_unfinished", "ix_tasks_in_turn"):
        op.drop_index(name, "tasks")
    _index_dispatchable("turn_at")
    for name in ("waits_in_turn", "in_turn"):
        op.drop_column("tasks", name)
    op.drop_index("ix_schedules_run_all", "schedules")
    for name in (*CHOICES, *DURATIONS, *COUNTS, *INSTANTS, "at_most_once", "runs"):
        op.drop_column("schedules", name)


def _index_dispatchable(*order: str) -> None:
    op.drop_index("ix_tasks_dispatchable", "tasks")
    op.create_index(
        "ix_tasks_dispatchable",
        "tasks",
        ["source_id", "queue", *order],
        postgresql_where=sa.text(DISPATCHABLE),
    )


def _add(name: str, kind: sa.types.TypeEngine[Any], *, default: str | None = None) -> None:
    column = sa.Column(
        name,
        kind,
        server_default=None if default is None else sa.text(default),
        nullable=default is None,
    )
    op.add_column("schedules", column)
