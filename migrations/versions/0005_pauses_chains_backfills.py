"""pauses that end, chains, backfills, labels and disabled sources."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

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
        ('queued', 'running'), ('queued', 'waiting'), ('queued', 'paused'),
        ('queued', 'cancelled'),
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
    {more}
    RETURN NULL;
END
$$
"""

# In the transaction that ends a task, so no end is ever missed. Most tasks have no followers: two
# looks at small indexes. The past that a backfill makes up for starts nothing in the present.
TELL_FOLLOWERS = """
    INSERT INTO follow_ups (schedule_id, parent_task_id, parent_attempt, ended_at)
    SELECT s.id, n.id, n.attempt, n.finished_at
    FROM new_rows n JOIN old_rows o USING (id)
    CROSS JOIN LATERAL (
        SELECT id, expr, status FROM schedules WHERE after_schedule_id = n.schedule_id
        UNION ALL
        SELECT id, expr, status FROM schedules WHERE after_flow_id = n.flow_id
    ) s
    WHERE n.state IN ('completed', 'failed') AND o.state <> n.state
        AND n.backfill_id IS NULL AND s.status IN ('active', 'paused') AND (
            s.expr IN (n.state, 'any') OR s.expr = 'recovered' AND n.state = 'completed'
        );
    IF FOUND OR EXISTS (
        SELECT FROM new_rows
        WHERE backfill_id IS NOT NULL AND state IN ('completed', 'failed', 'cancelled')
    ) THEN
        PERFORM pg_notify('automagik_wake', '');
    END IF;
"""

TYPES = "'interval', 'cron', 'oneshot', 'rrule', 'calendar'"
CHECKS = {
    "after_one_thing": "num_nonnulls(after_schedule_id, after_flow_id) = (type = 'after')::int",
    "after_end_known": ("type <> 'after' OR expr IN ('completed', 'failed', 'recovered', 'any')"),
    "held_while_paused": "status = 'paused' OR num_nonnulls(paused_until, held_from) = 0",
}


def upgrade() -> None:
    _extend_sources_and_calendars()
    _extend_schedules()
    _create_follow_ups()
    _create_backfills()
    _extend_tasks()
    op.execute(GUARD_TASK_TRANSITION.replace("{more}", TELL_FOLLOWERS))


def downgrade() -> None:
    op.execute(GUARD_TASK_TRANSITION.replace("{more}", ""))
    for name in ("ix_tasks_backfill_id", "uq_tasks_parent"):
        op.drop_index(name, "tasks")
    for name in ("backfill_id", "parent_task_id", "parent_attempt"):
        op.drop_column("tasks", name)
    op.drop_table("backfills")
    op.drop_table("follow_ups")
    # The version before cannot run them.
    op.execute("DELETE FROM schedules WHERE type = 'after'")
    for name in CHECKS:
        op.drop_constraint(op.f(f"ck_schedules_{name}"), "schedules")
    _replace_checks(types=TYPES, active="status <> 'active' OR next_run_at IS NOT NULL")
    for name in (
        "after_schedule_id",
        "after_flow_id",
        "labels",
        "project",
        "paused_until",
        "held_from",
    ):
        op.drop_column("schedules", name)
    op.drop_column("calendars", "project")
    for name in ("project", "disabled_at", "disabled_reason"):
        op.drop_column("sources", name)


def _extend_sources_and_calendars() -> None:
    for table in ("sources", "calendars"):
        op.add_column(table, sa.Column("project", sa.Text()))
    op.add_column("sources", sa.Column("disabled_at", sa.DateTime(timezone=True)))
    op.add_column("sources", sa.Column("disabled_reason", sa.Text()))


def _extend_schedules() -> None:
    op.add_column("schedules", sa.Column("after_schedule_id", sa.Uuid()))
    op.add_column("schedules", sa.Column("after_flow_id", sa.Uuid()))
    op.add_column(
        "schedules",
        sa.Column("labels", JSONB(), server_default=sa.text("'{}'"), nullable=False),
    )
    op.add_column("schedules", sa.Column("project", sa.Text()))
    for name in ("paused_until", "held_from"):
        op.add_column("schedules", sa.Column(name, sa.DateTime(timezone=True)))
    for table in ("schedules", "flows"):
        column = f"after_{table[:-1]}_id"
        op.create_foreign_key(
            f"fk_schedules_{column}", "schedules", table, [column], ["id"], ondelete="CASCADE"
        )
        op.create_index(
            f"ix_schedules_{column}",
            "schedules",
            [column],
            postgresql_where=sa.text(f"{column} IS NOT NULL"),
        )
    op.create_index(
        "ix_schedules_paused_until",
        "schedules",
        ["paused_until"],
        postgresql_where=sa.text("paused_until IS NOT NULL"),
    )
    _replace_checks(
        types=f"{TYPES}, 'after'",
        active="status <> 'active' OR next_run_at IS NOT NULL OR type = 'after'",
    )
    for name, condition in CHECKS.items():
        op.create_check_constraint(op.f(f"ck_schedules_{name}"), "schedules", condition)


def _replace_checks(*, types: str, active: str) -> None:
    op.drop_constraint(op.f("ck_schedules_type_known"), "schedules")
    op.create_check_constraint(op.f("ck_schedules_type_known"), "schedules", f"type IN ({types})")
    name = "ck_schedules_active_has_next_run_at"
    # The convention for names has lengthened the one that the first tables were made with.
    for former in (name, f"ck_schedules_{name}"):
        op.execute(f"ALTER TABLE schedules DROP CONSTRAINT IF EXISTS {former}")
    op.create_check_constraint(op.f(name), "schedules", active)


def _create_follow_ups() -> None:
    op.create_table(
        "follow_ups",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("schedule_id", sa.Uuid(), nullable=False),
        sa.Column("parent_task_id", sa.Uuid(), nullable=False),
        sa.Column("parent_attempt", sa.Integer(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_follow_ups"),
    )


def _create_backfills() -> None:
    instants = ("begin_at", "end_at", "told_until")
    op.create_table(
        "backfills",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("schedule_id", sa.Uuid(), nullable=False),
        *(sa.Column(name, sa.DateTime(timezone=True), nullable=False) for name in instants),
        sa.Column("overlap", sa.Text(), server_default=sa.text("'allow-all'"), nullable=False),
        sa.Column("max_concurrent", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'running'"), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("occurrences", sa.Integer(), nullable=False),
        *(
            sa.Column(name, sa.Integer(), server_default=sa.text("0"), nullable=False)
            for name in ("made", "passed_by")
        ),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(
            ["schedule_id"], ["schedules.id"], name="fk_backfills_schedule_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_backfills"),
        *(
            sa.CheckConstraint(condition, name=op.f(f"ck_backfills_{name}"))
            for name, condition in (
                ("in_order", "begin_at < end_at"),
                ("overlap_known", "overlap IN ('allow-all', 'skip', 'buffer-all')"),
                ("max_concurrent_positive", "max_concurrent > 0"),
                ("state_known", "state IN ('running', 'completed', 'cancelled')"),
                ("finished_at_iff_not_running", "(finished_at IS NULL) = (state = 'running')"),
            )
        ),
    )
    op.create_index(
        "ix_backfills_running", "backfills", ["id"], postgresql_where=sa.text("state = 'running'")
    )
    op.create_index("ix_backfills_schedule_id", "backfills", ["schedule_id", sa.text("id DESC")])


def _extend_tasks() -> None:
    op.add_column("tasks", sa.Column("backfill_id", sa.Uuid()))
    op.add_column("tasks", sa.Column("parent_task_id", sa.Uuid()))
    op.add_column("tasks", sa.Column("parent_attempt", sa.Integer()))
    for column, table in (("backfill_id", "backfills"), ("parent_task_id", "tasks")):
        op.create_foreign_key(
            f"fk_tasks_{column}", "tasks", table, [column], ["id"], ondelete="SET NULL"
        )
    op.create_index(
        "uq_tasks_parent",
        "tasks",
        ["parent_task_id", "schedule_id", "parent_attempt"],
        unique=True,
        postgresql_where=sa.text("parent_task_id IS NOT NULL"),
    )
    op.create_index(
        "ix_tasks_backfill_id",
        "tasks",
        ["backfill_id", "state"],
        postgresql_where=sa.text("backfill_id IS NOT NULL"),
    )
