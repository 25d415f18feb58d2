"""Secrets are blotted out of logs: by their value, and where a name says that one follows.

What a process has read, it knows by value: passwords in the URLs of its servers, keys of its
settings, and the API key of every source that it has decrypted. The names help with all others.
"""

import json
import re
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pydantic import BaseModel, SecretStr

HIDDEN = "***"
SHORTEST = 6
"""A shorter value is hidden by name only: it would be found in half of all words."""
PUBLIC = frozenset(
    {"automagik", "default", "langflow", "localhost", "password", "postgres", "postgresql", "redis"}
)
"""No secrets, though they are used as such: to hide them would take the sense from every line."""

_NAME = (
    r"(?:api|access|private|encryption)[_-]?key|passw(?:or)?d|passphrase|(?<!am-)secret"
    r"|token(?!s)|authorization|cookie|credential"
)
_SECRET_NAME = re.compile(_NAME, re.IGNORECASE)
# What is open at its end, such as a quote, may have been cut off. Repetitions are bounded, and none
# can begin in another: what strangers send must not cost time.
_NAMED = re.compile(
    rf"""((?:{_NAME})[\w-]{{0,20}}["']?(?:\s{{0,3}}(?:=>|[:=])\s{{0,3}}|(?<=["']),\s?)(?:b(?=["']))?)"""
    r"""(?:(?:basic|bearer|digest|token)\s{1,3})?"""
    r"""(?:"(?:[^"\\]|\\.)*+"?|'(?:[^'\\]|\\.)*+'?|[^\s"',;&)}\]]+)""",
    re.IGNORECASE | re.DOTALL,
)
# Nearly every line has none of them, and to look for these is cheap.
_SIGNS = ("key", "passw", "passphrase", "secret", "token", "authorization", "cookie", "credential")
_PASSWORD_IN_URL = re.compile(r"""(://[^\s:/@"']{0,200}):[^\s/"']+@""")

_known: set[str] = set()
_to_find: tuple[str, ...] = ()
"""All known secrets in all their disguises, longest first: one may be a part of another."""
_lock = Lock()


def hide(secret: str) -> None:
    """From now on this value is blotted out of all that the process logs."""
    if secret in _known:
        return
    global _to_find  # noqa: PLW0603  (replaced as a whole: threads read it meanwhile)
    with _lock:
        _known.add(secret)
        if len(secret) >= SHORTEST and secret.lower() not in PUBLIC:
            forms = {*_to_find, *_disguises(secret)}
            _to_find = tuple(sorted(forms, key=len, reverse=True))


def hide_secrets_of(settings: BaseModel) -> None:
    """All that its fields keep secret; of a URL, its passwords."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            for secret in _secrets_in(value.get_secret_value()):
                hide(secret)


def redact(text: str) -> str:
    """The text without secrets."""
    text = without_known(text)
    if "://" in text:
        text = _PASSWORD_IN_URL.sub(rf"\1:{HIDDEN}@", text)
    lower = text.lower()
    if any(sign in lower for sign in _SIGNS):
        text = _NAMED.sub(rf"\1{HIDDEN}", text)
    return text


def without_known(text: str) -> str:
    """For a name, where none can follow that tells of a secret."""
    for secret in _to_find:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return text


def redacted(name: str, value: Any) -> Any:
    """The value of a field, fit for JSON: without what its name or a part of it keeps secret."""
    if _SECRET_NAME.search(name):
        return HIDDEN
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {redact(str(key)): redacted(str(key), each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [redacted("", each) for each in value]
    return redact(value if isinstance(value, str) else repr(value))


def _disguises(secret: str) -> Iterator[str]:
    yield secret
    yield quote(secret, safe="")
    yield json.dumps(secret)[1:-1]
    yield repr(secret)[1:-1]


def _secrets_in(value: str) -> Iterator[str]:
    if "://" not in value:
        yield from (part.strip() for part in value.split(","))
        return
    try:
        parts = urlsplit(value)
    except ValueError:
        yield value
        return
    if parts.password:
        yield from (parts.password, unquote(parts.password))
    yield from (each for name, each in parse_qsl(parts.query) if _SECRET_NAME.search(name))
