"""The error tree. Each room's `exceptions.py` adds its leaves to it.

    AutomagikError                      1   500   AM-000
    ├── InvalidInput                    2   422   AM-INPUT        (usage: the caller can mend it)
    │   ├── InvalidCadence              scheduler/exceptions.py
    │   ├── InvalidFlowInput            flows/exceptions.py
    │   ├── ManifestInvalid             manifest/problems.py
    │   └── ComponentChoiceNeeded       flows/exceptions.py
    ├── NotFound                        3   404   AM-NOT-FOUND
    ├── Ambiguous                       3   409   AM-AMBIGUOUS
    ├── NotAllowed                      4   403   AM-NOT-ALLOWED
    ├── Unreachable                     5   503   AM-UNREACHABLE
    │   ├── DatabaseUnreachable         database/exceptions.py
    │   │   ├── DatabaseFull
    │   │   ├── ConnectionsExhausted
    │   │   ├── DatabaseBusy
    │   │   └── DatabaseReadOnly
    │   └── RedisUnreachable
    ├── Conflict                        6   409   AM-CONFLICT
    │   ├── SchemaOutdated              database/exceptions.py
    │   ├── FlowGone                    scheduler/exceptions.py
    │   └── HomeInUse                   embedded/exceptions.py
    ├── StillPending                    8   202   AM-PENDING
    ├── ConfigurationError              2   500   AM-CONFIG
    │   ├── InvalidSettings             settings/exceptions.py
    │   └── SecretUnreadable            encryption.py
    ├── EmbeddedError                   1   500   AM-EMBEDDED     embedded/exceptions.py
    ├── NotAlive                        1   503   AM-NOT-ALIVE    tasks/exceptions.py
    └── RemoteError                     5   502   AM-SRC          flows/exceptions.py

The numbers are the exit code of the command line and the status of the API. The class docstring is
the default message; `hint` says what to do. Command line, API and logs render these same four.
"""

from typing import ClassVar


class AutomagikError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "AM-000"
    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    default_hint: ClassVar[str | None] = None

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        self.message = message or (self.__doc__ or "").strip().splitlines()[0]
        self.hint = hint or self.default_hint
        super().__init__(self.message)


class InvalidInput(AutomagikError):
    """The input is not valid."""

    code = "AM-INPUT"
    exit_code = 2
    http_status = 422


class NotFound(AutomagikError):
    """There is no such thing."""

    code = "AM-NOT-FOUND"
    exit_code = 3
    http_status = 404


class Ambiguous(AutomagikError):
    """More than one thing has this name or begins with this id."""

    code = "AM-AMBIGUOUS"
    exit_code = 3
    http_status = 409
    default_hint = "Give the full id."


class NotAllowed(AutomagikError):
    """This is not allowed."""

    code = "AM-NOT-ALLOWED"
    exit_code = 4
    http_status = 403


class Unreachable(AutomagikError):
    """Something that is needed cannot be reached."""

    code = "AM-UNREACHABLE"
    exit_code = 5
    http_status = 503


class RedisUnreachable(Unreachable):
    """Redis does not answer."""

    code = "AM-REDIS"
    default_hint = "Check REDIS_URL, or start everything with: automagik up"


class Conflict(AutomagikError):
    """This contradicts what is there."""

    code = "AM-CONFLICT"
    exit_code = 6
    http_status = 409


class StillPending(AutomagikError):
    """It is not finished yet."""

    code = "AM-PENDING"
    exit_code = 8
    http_status = 202


class ConfigurationError(AutomagikError):
    """A setting is missing or wrong."""

    code = "AM-CONFIG"
    exit_code = 2
