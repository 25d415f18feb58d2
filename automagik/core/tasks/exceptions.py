"""Errors of the tasks room."""

from automagik.core.exceptions import AutomagikError


class NoOutput(AutomagikError):
    """The task has no output."""

    code = "AM-TASK-NO-OUTPUT"
    exit_code = 1
    http_status = 404


class NotAlive(AutomagikError):
    """The beat or worker gives no sign of life."""

    code = "AM-NOT-ALIVE"
    exit_code = 1
    http_status = 503
    default_hint = "Its log says why. Who gives signs of life: automagik status"
