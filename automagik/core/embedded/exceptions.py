"""What can go wrong with the servers and processes that `automagik up` starts itself."""

from automagik.core.exceptions import AutomagikError, Conflict


class EmbeddedError(AutomagikError):
    """An embedded server could not be started."""

    code = "AM-EMBEDDED"


class NoServerProgram(EmbeddedError):
    """There is no server program for this platform."""

    code = "AM-EMBEDDED-NO-PROGRAM"


class ChildDied(EmbeddedError):
    """A process stopped before it was ready."""

    code = "AM-EMBEDDED-DIED"


class HomeInUse(Conflict):
    """Another `automagik up` runs in this data folder."""

    code = "AM-HOME-IN-USE"
    default_hint = "Stop it first, or choose another folder with AUTOMAGIK_HOME."
