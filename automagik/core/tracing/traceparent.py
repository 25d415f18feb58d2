"""The place of a run in a trace, as W3C Trace Context writes it: `00-TRACE-SPAN-FLAGS`."""

import os
import re

VARIABLE = "TRACEPARENT"

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_OURS, _NONE = "00", "ff"


def inherited() -> str | None:
    """What the caller of this process names as the parent of what it does; None if nothing valid.

    What is not valid is left out without a word, as the standard wants it.
    """
    return read(os.environ.get(VARIABLE, ""))


def read(text: str) -> str | None:
    """In the version that we write; None when it is not valid."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == _NONE or (version == _OURS and more):
        return None
    if not (int(trace_id, 16) and int(span_id, 16)):
        return None
    # Of later versions only this flag is known to mean the same.
    flags = flags if version == _OURS else f"{int(flags, 16) & 1:02x}"
    return f"{_OURS}-{trace_id}-{span_id}-{flags}"


def trace_id_of(traceparent: str | None) -> str | None:
    return None if traceparent is None else traceparent.split("-")[1]
