"""What can be wrong with a flow's input, and what can go wrong with a source.

    InvalidInput
    ├── InvalidFlowInput                AM-FLOW-INPUT
    └── ComponentChoiceNeeded           AM-FLOW-CHOICE
    RemoteError                         AM-SRC                exit 5, 502
    ├── SourceUnreachable               AM-SRC-UNREACHABLE    retried
    │   └── SourceUntrusted             AM-SRC-TLS
    ├── SourceTimeout                   AM-SRC-TIMEOUT        retried
    │   └── DeadlineExceeded            AM-SRC-DEADLINE       retried
    ├── RateLimited                     AM-SRC-RATE           retried, after `retry_after`
    ├── SourceServerError               AM-SRC-SERVER         retried, after `retry_after`
    ├── RunFailed                       AM-SRC-RUN            retried
    ├── StreamEnded                     AM-SRC-STREAM         retried
    ├── RunCancelled                    AM-SRC-CANCELLED
    ├── SourceUnauthorized              AM-SRC-KEY            exit 4
    ├── RemoteFlowNotFound              AM-SRC-FLOW           exit 3, 404
    ├── BadRequest                      AM-SRC-REQUEST
    ├── MalformedAnswer                 AM-SRC-ANSWER
    └── AnswerTooLarge                  AM-SRC-SIZE

The text of a source is kept, without NUL characters and the API key, up to 8 kB.
"""

from datetime import timedelta
from typing import ClassVar

from automagik.core.exceptions import AutomagikError, InvalidInput


class InvalidFlowInput(InvalidInput):
    """The input does not fit the flow."""

    code = "AM-FLOW-INPUT"


class ComponentChoiceNeeded(InvalidInput):
    """The flow has several components of this kind."""

    code = "AM-FLOW-CHOICE"

    def __init__(
        self,
        message: str | None = None,
        *,
        hint: str | None = None,
        role: str = "input",
        candidates: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.role = role
        self.candidates = candidates


class RemoteError(AutomagikError):
    """The source did not do what was asked."""

    code = "AM-SRC"
    exit_code = 5
    http_status = 502
    retryable: ClassVar[bool] = False
    source_is_up: ClassVar[bool | None] = None
    """What it says of the source as a whole; None: nothing."""

    def __init__(
        self,
        message: str | None = None,
        *,
        hint: str | None = None,
        http_status_received: int | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.http_status_received = http_status_received
        self.retry_after = retry_after
        self.never_sent = False
        """Whether surely nothing of the request has reached the source."""


class SourceUnreachable(RemoteError):
    """The source cannot be reached."""

    code = "AM-SRC-UNREACHABLE"
    http_status = 503
    retryable = True
    source_is_up = False
    default_hint = "Check that LangFlow runs and that the source's URL is right."


class SourceUntrusted(SourceUnreachable):
    """The source's TLS certificate is not trusted."""

    code = "AM-SRC-TLS"
    retryable = False
    default_hint = "Set REQUESTS_CA_BUNDLE to the file of the authority that signed it."


class SourceTimeout(RemoteError):
    """The source did not answer in time."""

    code = "AM-SRC-TIMEOUT"
    http_status = 504
    retryable = True


class DeadlineExceeded(SourceTimeout):
    """The call took longer than its total deadline and was broken off."""

    code = "AM-SRC-DEADLINE"


class RateLimited(RemoteError):
    """The source asks to come back later."""

    code = "AM-SRC-RATE"
    http_status = 503
    retryable = True


class SourceServerError(RemoteError):
    """The source failed inside."""

    code = "AM-SRC-SERVER"
    retryable = True
    source_is_up = False


class RunFailed(RemoteError):
    """A component of the flow failed."""

    code = "AM-SRC-RUN"
    exit_code = 1
    retryable = True
    source_is_up = True


class StreamEnded(RemoteError):
    """The run's stream ended without a result: the flow failed, or the server went away."""

    code = "AM-SRC-STREAM"
    retryable = True
    default_hint = "LangFlow 1.2 to 1.7 does not say why a streamed run failed; its own log does."


class RunCancelled(RemoteError):
    """The call was broken off by us."""

    code = "AM-SRC-CANCELLED"
    exit_code = 1


class SourceUnauthorized(RemoteError):
    """The source refuses the API key."""

    code = "AM-SRC-KEY"
    exit_code = 4
    source_is_up = True
    default_hint = "Make a key in LangFlow's settings; sources add and update take --api-key-file."


class RemoteFlowNotFound(RemoteError):
    """The source has no such flow for this key."""

    code = "AM-SRC-FLOW"
    exit_code = 3
    http_status = 404
    source_is_up = True
    default_hint = "See what the source still has: automagik flows sync"


class BadRequest(RemoteError):
    """The source refuses the request."""

    code = "AM-SRC-REQUEST"
    source_is_up = True


class MalformedAnswer(RemoteError):
    """The source's answer is not LangFlow's."""

    code = "AM-SRC-ANSWER"
    default_hint = "Check the source's URL: the address of LangFlow itself, without a page's path."


class AnswerTooLarge(RemoteError):
    """The source's answer is larger than allowed."""

    code = "AM-SRC-SIZE"
    source_is_up = True
    default_hint = "Let the flow answer less, or raise AUTOMAGIK_MAX_ANSWER_BYTES."
