"""Why runs failed, with what differs from run to run left out. Pure."""

import re
from hashlib import sha256

_LONGEST = 300

# From the special to the general: an id is not taken for a number, a URL not for a path.
_VARYING = (
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\bhttps?://\S+"), "<url>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d\S*"), "<time>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b|\b0x[0-9a-f]+\b", re.IGNORECASE), "<id>"),
    (re.compile(r"(?<![\w/])/(?:[\w.-]+/)+[\w.-]*"), "<path>"),
    (re.compile(r"\"[^\"]{1,200}\"|(?<!\w)'[^']{1,200}'(?!\w)"), "<text>"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "<n>"),
)


def cause(message: str | None) -> str:
    """The message with words in <> for ids, numbers, times, URLs, paths and quoted texts."""
    text = " ".join((message or "").split())[: 4 * _LONGEST]
    for pattern, word in _VARYING:
        text = pattern.sub(word, text)
    return text[:_LONGEST]


def fingerprint(error_code: str | None, message: str | None) -> str:
    """Eight hexadecimal digits that failures of the same cause share."""
    return sha256(f"{error_code}\n{cause(message)}".encode()).hexdigest()[:8]
