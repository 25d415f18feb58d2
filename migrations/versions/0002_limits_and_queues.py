"""limits, queues, breakers, idempotency and skipped occurrences."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TURN_AT = "(run_at AT TIME ZONE 'UTC' - priority * '00:01:00'::interval) AT TIME ZONE 'UTC'"
DISPATCHABLE = "state IN ('pending', 'waiting')"
UNDER_WAY = "state IN ('queued', 'running')"
PRIORITY = "priority BETWEEN -1000 AND 1000"

GUARD_TASK_TRANSITION = """
CREATE OR REPLACE FUNCTION guard_task_transition() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    refused record;
BEGIN
    SELECT n.id, o.state AS old_state, n.state AS new_state INTO refused
    FROM old_rows o JOIN new_rows n USING (id)
    WHERE o.state <> n.state AND (o.state, n.state) NOT IN (
        ('pending', 'queued'), ('pending', 'running'),
        ('pending', 'paused'), ('pending', 'cancelled'),
        ('queued', 'running'), {more} ('queued', 'paused'), ('queued', 'cancelled'),
        ('running', 'completed'), ('running', 'failed'),
        ('running', 'cancelled'), ('running', 'waiting'),
        ('waiting', 'queued'), ('waiting', 'paused'), ('waiting', 'cancelled'),
        ('paused', 'pending'), ('paused', 'cancelled'),
        ('failed', 'pending'), ('cancelled', 'pending')
    ) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'task % cannot go from % to %',
            refused.id, refused.old_state, refused.new_state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_tasks_transition';
    END IF;
    INSERT INTO task_events (task_id, attempt, from_state, to_state, actor, reason)
    SELECT n.id, n.attempt, o.state, n.state, n.state_actor, n.state_reason
    FROM old_rows o JOIN new_rows n USING (id) WHERE o.state <> n.state;
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    op.create_table(
        "queues",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pause_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_queues"),
    )
    # What has waited until now, waits in it.
    op.execute("INSERT INTO queues (name) VALUES ('automagik')")
    _extend_sources()
    _extend_flows_and_schedules()
    _extend_tasks()
    for table in ("workers", "beats"):
        op.add_column(table, sa.Column("clock_offset_seconds", sa.Double(), nullable=True))
    op.execute(GUARD_TASK_TRANSITION.format(more="('queued', 'waiting'),"))


def _extend_sources() -> None:
    op.add_column("sources", sa.Column("max_runs_per_minute", sa.Integer(), nullable=True))
    op.add_column("sources", sa.Column("rate_used_until", sa.DateTime(timezone=True)))
    op.add_column(
        "sources",
        sa.Column("breaker_failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )
    op.add_column("sources", sa.Column("breaker_opened_at", sa.DateTime(timezone=True)))
    op.add_column("sources", sa.Column("breaker_probe_at", sa.DateTime(timezone=True)))
    op.add_column("sources", sa.Column("breaker_probe_id", sa.Uuid()))
    op.add_column("sources", sa.Column("breaker_reason", sa.Text()))
    op.create_check_constraint(
        op.f("ck_sources_max_runs_per_minute_positive"), "sources", "max_runs_per_minute > 0"
    )
    op.create_check_constraint(
        op.f("ck_sources_breaker_open_or_not"),
        "sources",
        "(breaker_opened_at IS NULL) = (breaker_probe_at IS NULL)",
    )


def _extend_flows_and_schedules() -> None:
    op.add_column("flows", sa.Column("max_parallel_runs", sa.Integer()))
    op.add_column("flows", sa.Column("priority", sa.Integer()))
    op.add_column(
        "flows",
        sa.Column("at_most_once", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.create_check_constraint(
        op.f("ck_flows_max_parallel_runs_positive"), "flows", "max_parallel_runs > 0"
    )
    # From now on unset means: as the flow has it.
    op.alter_column("schedules", "priority", nullable=True, server_default=None)
    op.add_column(
        "schedules",
        sa.Column(
            "counts_from",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
    )
    for table in ("flows", "schedules"):
        op.add_column(table, sa.Column("queue", sa.Text()))
        op.create_foreign_key(f"fk_{table}_queue", table, "queues", ["queue"], ["name"])
    op.create_table(
        "skipped_occurrences",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("schedule_id", sa.Uuid(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("first_at <= last_at", name="ck_skipped_occurrences_in_order"),
        sa.ForeignKeyConstraint(
            ["schedule_id"],
            ["schedules.id"],
            name="fk_skipped_occurrences_schedule_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_skipped_occurrences"),
    )
    op.create_index(
        "ix_skipped_occurrences_schedule_id", "skipped_occurrences", ["schedule_id", "first_at"]
    )


def _extend_tasks() -> None:
    op.add_column(
        "tasks",
        sa.Column("queue", sa.Text(), server_default=sa.text("'automagik'"), nullable=False),
    )
    op.add_column(
        "tasks",
        sa.Column("at_most_once", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.add_column("tasks", sa.Column("idempotency_key", sa.Text()))
    op.create_unique_constraint("uq_tasks_idempotency_key", "tasks", ["idempotency_key"])
    op.add_column(
        "tasks",
        sa.Column("turn_at", sa.DateTime(timezone=True), sa.Computed(TURN_AT, persisted=True)),
    )
    for table in ("flows", "schedules", "tasks"):
        # Priorities had no bounds before.
        op.execute(
            f"UPDATE {table} SET priority = greatest(-1000, least(1000, priority))"  # noqa: S608
            f" WHERE NOT {PRIORITY}"
        )
        op.create_check_constraint(op.f(f"ck_{table}_priority_in_range"), table, PRIORITY)
    for name in ("ix_tasks_dispatchable", "ix_tasks_under_way"):
        op.drop_index(name, "tasks")
    op.create_index(
        "ix_tasks_dispatchable",
        "tasks",
        ["source_id", "queue", "turn_at"],
        postgresql_where=sa.text(DISPATCHABLE),
    )
    op.create_index(
        "ix_tasks_under_way",
        "tasks",
        ["source_id", "flow_id"],
        postgresql_where=sa.text(UNDER_WAY),
    )


def downgrade() -> None:
    op.execute(GUARD_TASK_TRANSITION.format(more=""))
    for table in ("workers", "beats"):
        op.drop_column(table, "clock_offset_seconds")
    for name in ("ix_tasks_dispatchable", "ix_tasks_under_way"):
        op.drop_index(name, "tasks")
    for table in ("flows", "schedules", "tasks"):
        op.drop_constraint(op.f(f"ck_{table}_priority_in_range"), table)
    _drop_columns("tasks", "turn_at", "queue", "at_most_once", "idempotency_key")
    op.create_index(
        "ix_tasks_dispatchable",
        "tasks",
        ["source_id", sa.literal_column("priority DESC"), "run_at"],
        postgresql_where=sa.text(DISPATCHABLE),
    )
    op.create_index(
        "ix_tasks_under_way", "tasks", ["source_id"], postgresql_where=sa.text(UNDER_WAY)
    )
    op.drop_table("skipped_occurrences")
    op.execute("UPDATE schedules SET priority = 0 WHERE priority IS NULL")
    op.alter_column("schedules", "priority", nullable=False, server_default=sa.text("0"))
    _drop_columns("schedules", "queue", "counts_from")
    _drop_columns("flows", "queue", "max_parallel_runs", "priority", "at_most_once")
    op.drop_table("queues")
    op.drop_constraint(op.f("ck_sources_breaker_open_or_not"), "sources")
    _drop_columns(
        "sources",
        "max_runs_per_minute",
        "rate_used_until",
        "breaker_failures",
        "breaker_opened_at",
        "breaker_probe_at",
        "breaker_probe_id",
        "breaker_reason",
    )


def _drop_columns(table: str, *names: str) -> None:
    for name in names:
        op.drop_column(table, name)
