"""An API key, from where nobody else can read it: never from the command line itself."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from automagik.cli import context, known, person
from automagik.core.exceptions import InvalidInput

if TYPE_CHECKING:
    from pydantic import SecretStr

ApiKeyFile = Annotated[
    str | None,
    typer.Option(
        "--api-key-file",
        metavar="FILE|-",
        help="Read the API key; - reads stdin.",
        autocompletion=known.files,
    ),
]
ApiKeyStdin = Annotated[bool, typer.Option("--api-key-stdin", help="Read the API key from stdin.")]


def given_key(file: str | None, *, stdin: bool) -> "SecretStr | None":
    """The key that the options name. Raises InvalidInput."""
    if stdin or file == "-":
        if sys.stdin.isatty():
            return asked_key()
        return _checked(sys.stdin.read(), origin="stdin")
    if file is None:
        return None
    try:
        text = Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(
            f"Cannot read {file}: {error.strerror}.",
            hint="Give a file that can be read, or - for stdin.",
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file} holds no API key.") from error
    return _checked(text, origin=file)


def configured_key(url: str) -> "SecretStr | None":
    """LANGFLOW_API_KEY, unless LANGFLOW_API_URL says that it belongs to another server."""
    from automagik.core.flows.source_url import normalize_source_url

    settings = context.settings()
    key, belongs_to = settings.langflow_api_key, settings.langflow_api_url
    if key is None or not key.get_secret_value():
        return None
    if belongs_to and normalize_source_url(belongs_to) != normalize_source_url(url):
        return None
    context.printer().say("Using the API key of LANGFLOW_API_KEY.")
    return key


def asked_key() -> "SecretStr | None":
    """None when nobody can be asked, or nothing is entered."""
    if not person.is_there():
        return None
    text = typer.prompt(
        "API key (hidden; empty for none)",
        default="",
        show_default=False,
        hide_input=True,
        err=True,
    )
    return _checked(text, origin="the prompt") if text.strip() else None


def _checked(text: str, *, origin: str) -> "SecretStr":
    from automagik.core.flows.api_key import checked_key

    return checked_key(text, origin=origin)
