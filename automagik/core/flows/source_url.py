"""The address of a source, as people paste it and as we keep it."""

from urllib.parse import SplitResult, urlsplit

from automagik.core.exceptions import InvalidInput

EXAMPLE = "Write it like http://localhost:7860 or https://langflow.example.com"
API_SUFFIXES = ("/api/v1", "/api/v2", "/api")

_PORTS = {"http": 80, "https": 443}


def normalize_source_url(url: str) -> str:
    """The base URL without a final slash and without a pasted `/api/v1`.

    Raises InvalidInput, whose text never repeats a password in the URL.
    """
    parts = _split(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput("The source's URL must begin with http:// or https://.", hint=EXAMPLE)
    if "@" in parts.netloc:
        raise InvalidInput(
            "The source's URL must not hold a user or a password.",
            hint="Give the API key separately; it is kept encrypted.",
        )
    if parts.query or parts.fragment:
        raise InvalidInput("The source's URL must not have a query or a #fragment.", hint=EXAMPLE)
    return f"{parts.scheme}://{parts.netloc.lower()}{_prefix(parts.path)}"


def same_server(url: str, other: str) -> bool:
    """Whether two base URLs have the same scheme, host and port."""
    return _server(url) == _server(other)


def _server(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def _split(url: str) -> SplitResult:
    if any(character.isspace() or not character.isprintable() for character in url):
        raise InvalidInput("The source's URL has spaces or control characters.", hint=EXAMPLE)
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise InvalidInput("The source's URL cannot be read.", hint=EXAMPLE) from None
    return parts


def _prefix(path: str) -> str:
    """The path below which LangFlow's `/api` and `/health` lie, behind a reverse proxy."""
    bare = path.rstrip("/")
    for suffix in API_SUFFIXES:
        if bare.endswith(suffix):
            return bare.removesuffix(suffix).rstrip("/")
    return bare
