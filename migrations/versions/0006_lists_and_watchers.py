"""indexes for lists of tasks, and news for those who watch."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# A notification makes all commits of the server take turns: nobody pays while nobody watches.
TELL_WATCHERS = """
CREATE FUNCTION tell_watchers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM watchers WHERE until > now()) THEN
        PERFORM pg_notify('automagik_news', TG_TABLE_NAME);
    END IF;
    RETURN NULL;
END
$$
"""
RARE = {"flow": "state <> 'completed'", "schedule": "state IN ('failed', 'cancelled')"}
WATCHED = {
    "task_events": "INSERT",
    "task_logs": "INSERT",
    "schedules": "INSERT OR UPDATE OR DELETE",
    "backfills": "INSERT OR UPDATE OR DELETE",
}


def upgrade() -> None:
    op.create_index(
        "ix_tasks_error_code",
        "tasks",
        ["error_code", sa.text("id DESC")],
        postgresql_where=sa.text("error_code IS NOT NULL"),
    )
    for noun, condition in RARE.items():
        op.create_index(
            f"ix_tasks_{noun}_state",
            "tasks",
            [f"{noun}_id", "state", sa.text("id DESC")],
            postgresql_where=sa.text(condition),
        )
    op.create_index(
        "ix_tasks_failed_at",
        "tasks",
        ["finished_at"],
        postgresql_where=sa.text("state = 'failed'"),
    )
    op.create_index(
        "ix_task_attempts_worker_id", "task_attempts", ["worker_id", sa.text("task_id DESC")]
    )
    op.create_table(
        "watchers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_watchers"),
    )
    op.execute(TELL_WATCHERS)
    for table, change in WATCHED.items():
        op.execute(
            f"CREATE TRIGGER tell_watchers AFTER {change} ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION tell_watchers()"
        )


def downgrade() -> None:
    for table in WATCHED:
        op.execute(f"DROP TRIGGER tell_watchers ON {table}")
    op.execute("DROP FUNCTION tell_watchers")
    op.drop_table("watchers")
    op.drop_index("ix_task_attempts_worker_id", "task_attempts")
    op.drop_index("ix_tasks_failed_at", "tasks")
    for noun in RARE:
        op.drop_index(f"ix_tasks_{noun}_state", "tasks")
    op.drop_index("ix_tasks_error_code", "tasks")
