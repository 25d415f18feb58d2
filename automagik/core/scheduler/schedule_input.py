"""The input of a schedule: checked against its flow, and a template when it is a chain."""

from typing import Any

from sqlalchemy import Connection

from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.input_check import checked_input
from automagik.core.flows.values import Flow
from automagik.core.scheduler.input_template import parse_template
from automagik.core.scheduler.values import ScheduleChange


def input_columns(
    connection: Connection, flow: Flow, run_input: FlowInput, *, is_chain: bool
) -> dict[str, Any]:
    """What to write, once it is checked. Raises InvalidInput, and Conflict for a gone flow."""
    if is_chain:
        parse_template(run_input.input_value)
    checked = checked_input(connection, flow, run_input)
    return {
        "input_value": checked.input_value,
        "tweaks": dict(checked.tweaks),
        "session_id": checked.session_id,
    }


def merged_input(stored: FlowInput, change: ScheduleChange) -> FlowInput:
    """What a change leaves of it. An empty session stands for none."""
    session = stored.session_id if change.session_id is None else change.session_id or None
    return FlowInput(
        input_value=stored.input_value if change.input_value is None else change.input_value,
        tweaks=stored.tweaks if change.tweaks is None else change.tweaks,
        session_id=session,
    )
