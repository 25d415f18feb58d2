"""rules of several cadences, exclusions, calendars, windows and quiet hours."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CHECKS = {
    "on_holiday_known": "on_holiday IN ('skip', 'next-business-day', 'previous-business-day')",
    "dst_gap_known": "dst_gap IN ('next', 'skip')",
    "dst_fold_known": "dst_fold IN ('first', 'both')",
    "starts_before_it_ends": "starts_at < ends_at",
}


def upgrade() -> None:
    _create_calendars()
    for name in ("more_cadences", "exclusions"):
        op.add_column(
            "schedules",
            sa.Column(name, JSONB(), server_default=sa.text("'[]'"), nullable=False),
        )
    for name in ("calendar", "quiet_hours"):
        op.add_column("schedules", sa.Column(name, sa.Text()))
    for name, default in (("on_holiday", "skip"), ("dst_gap", "next"), ("dst_fold", "first")):
        op.add_column(
            "schedules",
            sa.Column(name, sa.Text(), server_default=sa.text(f"'{default}'"), nullable=False),
        )
    for name in ("starts_at", "ends_at"):
        op.add_column("schedules", sa.Column(name, sa.DateTime(timezone=True)))
    op.create_foreign_key(
        "fk_schedules_calendar",
        "schedules",
        "calendars",
        ["calendar"],
        ["name"],
        ondelete="RESTRICT",
    )
    op.create_index(
        "ix_schedules_calendar",
        "schedules",
        ["calendar"],
        postgresql_where=sa.text("calendar IS NOT NULL"),
    )
    for name, condition in CHECKS.items():
        op.create_check_constraint(op.f(f"ck_schedules_{name}"), "schedules", condition)
    # The convention for names has lengthened the one that the first tables were made with.
    op.drop_constraint(op.f("ck_schedules_ck_schedules_type_known"), "schedules")
    op.create_check_constraint(
        op.f("ck_schedules_type_known"),
        "schedules",
        "type IN ('interval', 'cron', 'oneshot', 'rrule', 'calendar')",
    )


def _create_calendars() -> None:
    op.create_table(
        "calendars",
        sa.Column("name", sa.Text(), nullable=False),
        *(
            sa.Column(
                name,
                sa.DateTime(timezone=True),
                server_default=sa.text("now()"),
                nullable=False,
            )
            for name in ("created_at", "updated_at")
        ),
        sa.PrimaryKeyConstraint("name", name="pk_calendars"),
    )
    op.create_table(
        "calendar_days",
        sa.Column("calendar", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("title", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.ForeignKeyConstraint(
            ["calendar"], ["calendars.name"], name="fk_calendar_days_calendar", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("calendar", "day", name="pk_calendar_days"),
    )


def downgrade() -> None:
    # The version before cannot run them.
    op.execute("DELETE FROM schedules WHERE type IN ('rrule', 'calendar')")
    op.drop_constraint(op.f("ck_schedules_type_known"), "schedules")
    op.create_check_constraint(
        op.f("ck_schedules_ck_schedules_type_known"),
        "schedules",
        "type IN ('interval', 'cron', 'oneshot')",
    )
    for name in (
        "more_cadences",
        "exclusions",
        "calendar",
        "on_holiday",
        "quiet_hours",
        "starts_at",
        "ends_at",
        "dst_gap",
        "dst_fold",
    ):
        op.drop_column("schedules", name)
    op.drop_table("calendar_days")
    op.drop_table("calendars")
