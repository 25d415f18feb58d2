"""The forms that logs have."""

from enum import StrEnum


class LogFormat(StrEnum):
    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"

    def on(self, *, terminal: bool) -> "LogFormat":
        """JSON or console."""
        if self is not LogFormat.AUTO:
            return self
        return LogFormat.CONSOLE if terminal else LogFormat.JSON
