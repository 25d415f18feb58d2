"""fewer entries in indexes for each run, and upkeep that suits tables of millions."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

NOT_COMPLETED = "state <> 'completed'"
RARE_OR_MANY = "state IN ('pending', 'waiting', 'paused', 'failed', 'cancelled')"

# The defaults wait for a fifth of a table, which is weeks of work with a long history. By then all
# of the newest days is read from the table itself, and plans are made for another backlog.
UPKEEP = {
    "tasks": {
        "autovacuum_vacuum_scale_factor": 0.02,
        "autovacuum_vacuum_insert_scale_factor": 0.02,
        "autovacuum_analyze_scale_factor": 0.02,
    },
    "task_attempts": {
        "autovacuum_vacuum_scale_factor": 0.02,
        "autovacuum_analyze_scale_factor": 0.05,
        # An attempt is written twice: with room on its page its end is in no index.
        "fillfactor": 85,
    },
    "task_events": {
        "autovacuum_vacuum_scale_factor": 0.05,
        "autovacuum_vacuum_insert_scale_factor": 0.05,
    },
    "task_logs": {
        "autovacuum_vacuum_scale_factor": 0.05,
        "autovacuum_vacuum_insert_scale_factor": 0.05,
    },
}


def upgrade() -> None:
    _index_given_keys_only()
    _index_flow_states(RARE_OR_MANY)
    _index_ends_by_state()
    _never_join_row_by_row()
    _plan_for_any_backlog()
    _keep_up()


def downgrade() -> None:
    _keep_up_as_usual()
    op.execute("ALTER TABLE tasks ALTER state SET STATISTICS -1")
    op.execute("ALTER FUNCTION guard_task_transition() RESET enable_nestloop")
    _index_ends_by_time()
    _index_flow_states(NOT_COMPLETED)
    _index_all_keys()


def _index_given_keys_only() -> None:
    """Most tasks have none."""
    op.drop_constraint("uq_tasks_idempotency_key", "tasks")
    op.create_index(
        "uq_tasks_idempotency_key",
        "tasks",
        ["idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )


def _index_all_keys() -> None:
    op.drop_index("uq_tasks_idempotency_key", "tasks")
    op.create_unique_constraint("uq_tasks_idempotency_key", "tasks", ["idempotency_key"])


def _index_flow_states(condition: str) -> None:
    op.drop_index("ix_tasks_flow_state", "tasks")
    op.create_index(
        "ix_tasks_flow_state",
        "tasks",
        ["flow_id", "state", sa.text("id DESC")],
        postgresql_where=sa.text(condition),
    )


def _index_ends_by_state() -> None:
    for name in ("ix_tasks_finished_at", "ix_tasks_failed_at"):
        op.drop_index(name, "tasks")
    op.create_index(
        "ix_tasks_ended",
        "tasks",
        ["state", "finished_at"],
        postgresql_include=["flow_id", "run_at", "started_at"],
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    )


def _index_ends_by_time() -> None:
    op.drop_index("ix_tasks_ended", "tasks")
    for name, condition in (
        ("ix_tasks_finished_at", "finished_at IS NOT NULL"),
        ("ix_tasks_failed_at", "state = 'failed'"),
    ):
        op.create_index(name, "tasks", ["finished_at"], postgresql_where=sa.text(condition))


def _never_join_row_by_row() -> None:
    """A session plans the trigger's joins once, for as many rows as it moves first.

    That is one row as a rule, and the nested loop that suits it makes of 500 rows 250,000 pairs.
    """
    op.execute("ALTER FUNCTION guard_task_transition() SET enable_nestloop = off")


def _plan_for_any_backlog() -> None:
    """Statistics of the states are those of the past: next to nothing pending, or running.

    Plans made for that look through all that is pending to find a few by their ids. In a backlog
    that has just come a dispatch then takes longer than a statement may. Without statistics plans
    are made for one task in 200 in each state.
    """
    op.execute("ALTER TABLE tasks ALTER state SET STATISTICS 0")
    if op.get_bind().scalar(sa.text("SELECT to_regproc('pg_clear_attribute_stats') IS NOT NULL")):
        op.execute("SELECT pg_clear_attribute_stats(current_schema(), 'tasks', 'state', false)")
    else:
        # Also forgets them, and takes its time, as it makes indexes anew.
        op.execute("ALTER TABLE tasks ALTER state TYPE text")


def _keep_up() -> None:
    for table, options in UPKEEP.items():
        listed = ", ".join(f"{name} = {value}" for name, value in options.items())
        op.execute(f"ALTER TABLE {table} SET ({listed})")


def _keep_up_as_usual() -> None:
    for table, options in UPKEEP.items():
        op.execute(f"ALTER TABLE {table} RESET ({', '.join(options)})")
