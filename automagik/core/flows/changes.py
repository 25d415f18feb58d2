"""What updating does to a flow. Pure; the answer are columns to write."""

from typing import Any

from automagik.core.flows.values import FlowChange, FlowOption
from automagik.core.tasks.run_options import checked_priority, new_columns

_COLUMN_OF = {
    FlowOption.MAX_RETRIES: "max_retries",
    FlowOption.TIMEOUT: "timeout_seconds",
    FlowOption.MAX_PARALLEL: "max_parallel_runs",
    FlowOption.PRIORITY: "priority",
    FlowOption.QUEUE: "queue",
}


def changed_columns(change: FlowChange) -> dict[str, Any]:
    """Raises InvalidInput, also when an option is both given and unset."""
    timeout = change.timeout
    said = {
        "max_retries": change.max_retries,
        "timeout_seconds": timeout and timeout.total_seconds(),
        "max_parallel_runs": change.max_parallel_runs,
        "priority": checked_priority(change.priority),
        "queue": change.queue,
        "at_most_once": change.at_most_once,
    }
    return new_columns(said, unset={_COLUMN_OF[option]: option for option in change.unset})
