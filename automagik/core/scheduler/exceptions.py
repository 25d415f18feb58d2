"""What can be wrong with a schedule."""

from automagik.core.exceptions import Conflict, InvalidInput


class InvalidCadence(InvalidInput):
    """The time rule is not valid."""

    code = "AM-CADENCE"


class FlowGone(Conflict):
    """The flow is gone from its source. Sync it again, then resume the schedule."""

    code = "AM-FLOW-GONE"
