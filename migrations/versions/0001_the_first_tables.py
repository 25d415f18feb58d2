"""the first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


# Statement triggers, not row triggers: a beat inserts and moves hundreds of tasks in one statement.
RECORD_TASK_CREATION = """
CREATE FUNCTION record_task_creation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO task_events (task_id, attempt, from_state, to_state, actor, reason)
    SELECT id, attempt, NULL, state, state_actor, state_reason FROM new_rows;
    RETURN NULL;
END
$$
"""

GUARD_TASK_TRANSITION = """
CREATE FUNCTION guard_task_transition() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    refused record;
BEGIN
    SELECT n.id, o.state AS old_state, n.state AS new_state INTO refused
    FROM old_rows o JOIN new_rows n USING (id)
    WHERE o.state <> n.state AND (o.state, n.state) NOT IN (
        ('pending', 'queued'), ('pending', 'running'),
        ('pending', 'paused'), ('pending', 'cancelled'),
        ('queued', 'running'), ('queued', 'paused'), ('queued', 'cancelled'),
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
        "beats",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("hostname", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "last_tick_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_beats"),
    )
    op.create_table(
        "sources",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("api_key_encrypted", sa.Text(), nullable=True),
        sa.Column("max_parallel_runs", sa.Integer(), server_default=sa.text("8"), nullable=False),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("max_parallel_runs > 0", name="ck_sources_max_parallel_runs_positive"),
        sa.PrimaryKeyConstraint("id", name="pk_sources"),
        sa.UniqueConstraint("name", name="uq_sources_name"),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hostname", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("queues", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'online'"), nullable=False),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "heartbeat_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("release_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('online', 'draining', 'stopped', 'lost')", name="ck_workers_status_known"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
    )
    op.create_index(
        "ix_workers_live",
        "workers",
        ["heartbeat_at"],
        unique=False,
        postgresql_where=sa.text("status IN ('online', 'draining')"),
    )
    op.create_table(
        "flows",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("remote_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("endpoint_name", sa.Text(), nullable=True),
        sa.Column("input_component", sa.Text(), nullable=True),
        sa.Column("output_component", sa.Text(), nullable=True),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("max_retries", sa.Integer(), nullable=True),
        sa.Column("timeout_seconds", sa.Double(), nullable=True),
        sa.Column("gone_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "synced_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("max_retries >= 0", name="ck_flows_max_retries_not_negative"),
        sa.CheckConstraint(
            "timeout_seconds > 0 AND timeout_seconds < 'infinity'", name="ck_flows_timeout_finite"
        ),
        sa.ForeignKeyConstraint(
            ["source_id"], ["sources.id"], name="fk_flows_source_id", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_flows"),
        sa.UniqueConstraint("source_id", "remote_id", name="uq_flows_source_id_remote_id"),
    )
    op.create_index(
        "ix_flows_lower_name", "flows", [sa.literal_column("lower(name)")], unique=False
    )
    op.create_table(
        "flow_versions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("flow_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column(
            "definition", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["flow_id"], ["flows.id"], name="fk_flow_versions_flow_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_flow_versions"),
        sa.UniqueConstraint(
            "flow_id", "content_hash", name="uq_flow_versions_flow_id_content_hash"
        ),
        sa.UniqueConstraint("flow_id", "number", name="uq_flow_versions_flow_id_number"),
    )
    op.create_table(
        "schedules",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("flow_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("expr", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("anchor_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("input_value", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column(
            "tweaks",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("session_id", sa.Text(), nullable=True),
        sa.Column("priority", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("max_retries", sa.Integer(), nullable=True),
        sa.Column("timeout_seconds", sa.Double(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("status", sa.Text(), server_default=sa.text("'active'"), nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=True),
        sa.Column("next_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status <> 'active' OR next_run_at IS NOT NULL",
            name="ck_schedules_active_has_next_run_at",
        ),
        sa.CheckConstraint(
            "status IN ('active', 'paused', 'completed', 'error')", name="ck_schedules_status_known"
        ),
        sa.CheckConstraint(
            "type IN ('interval', 'cron', 'oneshot')", name="ck_schedules_type_known"
        ),
        sa.CheckConstraint("max_retries >= 0", name="ck_schedules_max_retries_not_negative"),
        sa.CheckConstraint(
            "timeout_seconds > 0 AND timeout_seconds < 'infinity'",
            name="ck_schedules_timeout_finite",
        ),
        sa.ForeignKeyConstraint(
            ["flow_id"], ["flows.id"], name="fk_schedules_flow_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_schedules"),
        sa.UniqueConstraint("name", name="uq_schedules_name"),
    )
    op.create_index(
        "ix_schedules_due",
        "schedules",
        ["next_run_at"],
        unique=False,
        postgresql_where=sa.text("status = 'active'"),
    )
    op.create_index("ix_schedules_flow_id", "schedules", ["flow_id"], unique=False)
    op.create_table(
        "flow_components",
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("component_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("is_input", sa.Boolean(), nullable=False),
        sa.Column("is_output", sa.Boolean(), nullable=False),
        sa.Column(
            "parameters", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False
        ),
        sa.ForeignKeyConstraint(
            ["version_id"],
            ["flow_versions.id"],
            name="fk_flow_components_version_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("version_id", "component_id", name="pk_flow_components"),
    )
    op.create_table(
        "tasks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("flow_id", sa.Uuid(), nullable=False),
        sa.Column("flow_version_id", sa.Uuid(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("schedule_id", sa.Uuid(), nullable=True),
        sa.Column("scheduled_for", sa.DateTime(timezone=True), nullable=True),
        sa.Column("input_value", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column(
            "tweaks",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("session_id", sa.Text(), nullable=True),
        sa.Column("priority", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("max_retries", sa.Integer(), nullable=False),
        sa.Column("timeout_seconds", sa.Double(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("state_actor", sa.Text(), server_default=sa.text("'unknown'"), nullable=False),
        sa.Column(
            "run_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.Uuid(), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "result", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column("output_text", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(finished_at IS NOT NULL) = (state IN ('cancelled', 'completed', 'failed'))",
            name="ck_tasks_finished_at_iff_final",
        ),
        sa.CheckConstraint(
            "(lease_expires_at IS NOT NULL) = (state = 'running')",
            name="ck_tasks_lease_iff_running",
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'queued', 'running', 'waiting', 'paused', "
            "'completed', 'failed', 'cancelled')",
            name="ck_tasks_state_known",
        ),
        sa.ForeignKeyConstraint(
            ["flow_id"], ["flows.id"], name="fk_tasks_flow_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["flow_version_id"],
            ["flow_versions.id"],
            name="fk_tasks_flow_version_id",
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(
            ["schedule_id"], ["schedules.id"], name="fk_tasks_schedule_id", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_tasks_source_id"),
        sa.PrimaryKeyConstraint("id", name="pk_tasks"),
        sa.UniqueConstraint(
            "schedule_id", "scheduled_for", name="uq_tasks_schedule_id_scheduled_for"
        ),
    )
    op.create_index(
        "ix_tasks_dispatchable",
        "tasks",
        ["source_id", sa.literal_column("priority DESC"), "run_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending', 'waiting')"),
    )
    op.create_index(
        "ix_tasks_finished_at",
        "tasks",
        ["finished_at"],
        unique=False,
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    )
    op.create_index(
        "ix_tasks_flow_id", "tasks", ["flow_id", sa.literal_column("id DESC")], unique=False
    )
    op.create_index(
        "ix_tasks_lease",
        "tasks",
        ["lease_expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_index(
        "ix_tasks_queued_at",
        "tasks",
        ["queued_at"],
        unique=False,
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_tasks_run_at",
        "tasks",
        ["run_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending', 'waiting')"),
    )
    op.create_index(
        "ix_tasks_schedule_id",
        "tasks",
        ["schedule_id", sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index(
        "ix_tasks_state", "tasks", ["state", sa.literal_column("id DESC")], unique=False
    )
    op.create_index(
        "ix_tasks_under_way",
        "tasks",
        ["source_id"],
        unique=False,
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    op.create_table(
        "task_attempts",
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("worker_id", sa.Uuid(), nullable=False),
        sa.Column("worker_name", sa.Text(), nullable=False),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('completed', 'failed', 'cancelled', 'worker_lost', 'released')",
            name="ck_task_attempts_outcome_known",
        ),
        sa.CheckConstraint(
            "(finished_at IS NOT NULL) = (outcome IS NOT NULL)",
            name="ck_task_attempts_finished_at_iff_outcome",
        ),
        sa.ForeignKeyConstraint(
            ["task_id"], ["tasks.id"], name="fk_task_attempts_task_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("task_id", "attempt", name="pk_task_attempts"),
    )
    op.create_table(
        "task_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("from_state", sa.Text(), nullable=True),
        sa.Column("to_state", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["task_id"], ["tasks.id"], name="fk_task_events_task_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_task_events"),
    )
    op.create_index("ix_task_events_task_id", "task_events", ["task_id", "id"], unique=False)
    op.create_table(
        "task_logs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("component", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "level IN ('debug', 'info', 'warning', 'error')", name="ck_task_logs_level_known"
        ),
        sa.ForeignKeyConstraint(
            ["task_id"], ["tasks.id"], name="fk_task_logs_task_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_task_logs"),
    )
    op.create_index("ix_task_logs_task_id", "task_logs", ["task_id", "id"], unique=False)
    # Each table names the other: this key can only come after both.
    op.create_foreign_key(
        "fk_flows_version_id",
        "flows",
        "flow_versions",
        ["version_id"],
        ["id"],
        initially="DEFERRED",
        deferrable=True,
    )
    op.execute(RECORD_TASK_CREATION)
    op.execute(GUARD_TASK_TRANSITION)
    op.execute(
        """
        CREATE TRIGGER record_task_creation AFTER INSERT ON tasks
        REFERENCING NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION record_task_creation()
        """
    )
    op.execute(
        """
        CREATE TRIGGER guard_task_transition AFTER UPDATE ON tasks
        REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
        FOR EACH STATEMENT EXECUTE FUNCTION guard_task_transition()
        """
    )


def downgrade() -> None:
    op.drop_constraint("fk_flows_version_id", "flows")
    for table in (
        "task_logs",
        "task_events",
        "task_attempts",
        "tasks",
        "flow_components",
        "schedules",
        "flow_versions",
        "flows",
        "workers",
        "sources",
        "beats",
    ):
        op.drop_table(table)
    op.execute("DROP FUNCTION record_task_creation, guard_task_transition")
