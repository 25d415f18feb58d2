"""Secrets at rest: what is stored in the database is encrypted with keys that are not in it.

The keys come from AUTOMAGIK_SECRET_KEY (newest first; all of them decrypt, the first encrypts),
else from a file in the home that the first encryption makes. There is no built-in key.
"""

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import SecretStr

from automagik.core.config import Settings
from automagik.core.exceptions import ConfigurationError
from automagik.core.logs.redaction import hide

if TYPE_CHECKING:  # Most who hold a keyring never open it.
    from cryptography.fernet import MultiFernet

KEY_FILE = "secret.key"

_MAKE_A_KEY = (
    'Make one with: python -c "from cryptography.fernet import Fernet;'
    ' print(Fernet.generate_key().decode())"'
)


class SecretUnreadable(ConfigurationError):
    """A stored secret cannot be decrypted with the keys of this host."""

    code = "AM-SECRET"
    default_hint = "Set the same AUTOMAGIK_SECRET_KEY on every host, or enter the secret again."


@dataclass(frozen=True, kw_only=True, slots=True)
class Keyring:
    """The keys of this host."""

    configured: SecretStr | None
    file: Path

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(configured=settings.secret_key, file=settings.home / KEY_FILE)

    def encrypt(self, secret: SecretStr) -> str:
        """Makes the key file when there is no key yet. Raises ConfigurationError."""
        keys = self._keys()
        fernet = self._fernet(_make_key_file(self.file) if keys is None else keys)
        return fernet.encrypt(secret.get_secret_value().encode()).decode()

    def decrypt(self, token: str) -> SecretStr:
        """Raises SecretUnreadable, also when this host has no key at all; ConfigurationError."""
        from cryptography.fernet import InvalidToken

        keys = self._keys()
        if keys is None:
            raise SecretUnreadable(
                "A stored secret cannot be decrypted: AUTOMAGIK_SECRET_KEY is not set"
                f" and {self.file} does not exist."
            )
        try:
            secret = self._fernet(keys).decrypt(token.encode()).decode()
        except (InvalidToken, UnicodeError) as error:
            raise SecretUnreadable(hint=self._hint()) from error
        hide(secret)
        return SecretStr(secret)

    def _keys(self) -> str | None:
        if self.configured is not None:
            return self.configured.get_secret_value()
        return _read_key_file(self.file)

    def _fernet(self, keys: str) -> "MultiFernet":
        from cryptography.fernet import Fernet, MultiFernet

        origin = "AUTOMAGIK_SECRET_KEY" if self.configured is not None else str(self.file)
        try:
            return MultiFernet([Fernet(key.strip()) for key in keys.split(",") if key.strip()])
        except ValueError as error:
            raise ConfigurationError(
                f"{origin} holds no valid key: a key is 32 bytes in URL-safe base64.",
                hint=_MAKE_A_KEY,
            ) from error

    def _hint(self) -> str | None:
        """A key was made in the home first and configured later: the old one may still be there."""
        if self.configured is None or not self.file.exists():
            return None
        return (
            f"If the key in {self.file} encrypted it, append that key to AUTOMAGIK_SECRET_KEY,"
            " after a comma."
        )


def _read_key_file(file: Path) -> str | None:
    try:
        return file.read_text(encoding="ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"The key file {file} cannot be read: {error}") from error


def _make_key_file(file: Path) -> str:
    """The key in the file: ours, or that of whoever was first. It never exists half written."""
    from cryptography.fernet import Fernet

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Only its owner can read a temporary file, and so it is with a link to it.
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=".secret-") as draft:
            draft.write(Fernet.generate_key())
            draft.flush()
            os.fsync(draft.fileno())
            _link_unless_there(draft.name, file)
    except OSError as error:
        raise ConfigurationError(
            f"The key file {file} cannot be made: {error.strerror or error}.",
            hint=f"Set AUTOMAGIK_HOME, or AUTOMAGIK_SECRET_KEY. {_MAKE_A_KEY}",
        ) from error
    return _read_key_file(file) or ""


def _link_unless_there(name: str, file: Path) -> None:
    with contextlib.suppress(FileExistsError):
        os.link(name, file)
