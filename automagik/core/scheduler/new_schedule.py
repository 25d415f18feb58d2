"""A new schedule comes into the table."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from automagik.core.flows.values import Flow
from automagik.core.scheduler import chain_changes, rows
from automagik.core.scheduler.after import After
from automagik.core.scheduler.names import checked_name, derived_name
from automagik.core.scheduler.new_rule import canonical, new_columns
from automagik.core.scheduler.rule import DaysOf
from automagik.core.scheduler.rule_text import RuleText

Columns = dict[str, Any]


def add(
    connection: Connection,
    columns: Columns,
    rule: RuleText | After,
    *,
    flow: Flow,
    name: str | None,
    timezone: str,
    days: DaysOf,
    shortest: timedelta | None,
) -> UUID:
    """Without a name it gets one. Raises InvalidCadence, InvalidInput, NotFound and Conflict."""
    if isinstance(rule, After):
        return chain_changes.add(connection, columns, rule, flow=flow, name=name, timezone=timezone)
    now = rows.database_now(connection)

    def columns_of(name: str) -> Columns:
        return columns | new_columns(rule, name=name, days=days, now=now, shortest=shortest)

    if name is not None:
        name = checked_name(name)
        return rows.add(connection, columns_of(name), name=name)
    first = canonical(rule, now=now, name="").cadences[0]
    made_up = derived_name(flow.name, type_=first.type, expr=first.expr)
    return rows.add_numbered(connection, columns_of, name=made_up)
