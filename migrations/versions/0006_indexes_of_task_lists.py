"""indexes for lists of tasks by error and by worker."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_tasks_error_code",
        "tasks",
        ["error_code", sa.text("id DESC")],
        postgresql_where=sa.text("error_code IS NOT NULL"),
    )
    op.create_index(
        "ix_task_attempts_worker_id", "task_attempts", ["worker_id", sa.text("task_id DESC")]
    )


def downgrade() -> None:
    op.drop_index("ix_task_attempts_worker_id", "task_attempts")
    op.drop_index("ix_tasks_error_code", "tasks")
