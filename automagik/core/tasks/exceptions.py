"""Errors of the tasks room."""

from automagik.core.exceptions import AutomagikError


class NoOutput(AutomagikError):
    """The task has no output."""

    code = "AM-TASK-NO-OUTPUT"
    exit_code = 1
    http_status = 404
