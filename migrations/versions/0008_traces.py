"""tasks know the trace that they belong to."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Without a default: nothing is rewritten, and a row that has none is as short as before.
    op.add_column("tasks", sa.Column("traceparent", sa.Text()))


def downgrade() -> None:
    op.drop_column("tasks", "traceparent")
