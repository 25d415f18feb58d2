"""An API key, as it comes out of a file, a variable or a prompt."""

from pydantic import SecretStr

from automagik.core.exceptions import InvalidInput


def checked_key(text: str, *, origin: str) -> SecretStr:
    """Raises InvalidInput, which does not repeat the text."""
    key = text.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise InvalidInput(
            f"What {origin} holds is no API key.", hint="A key is one word, such as sk-…"
        )
    return SecretStr(key)
