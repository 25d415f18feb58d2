"""What is blotted out of logs, and what is left readable."""

import json
from urllib.parse import quote

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from automagik.core.config import Settings
from automagik.core.encryption import Keyring
from automagik.core.logs import redaction
from automagik.core.logs.redaction import HIDDEN, hide, hide_secrets_of, redact, redacted

CANARY = "sk-canary/0'1\"2ä3"
OTHER = "canary-of-somebody"


@pytest.fixture(autouse=True)
def _forgotten_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_known", set())
    monkeypatch.setattr(redaction, "_to_find", ())


@pytest.mark.parametrize(
    "disguise",
    [str, repr, json.dumps, lambda text: quote(text, safe=""), lambda text: f"<{text}>"],
    ids=["plain", "repr", "json", "in a URL", "amid others"],
)
def test_a_known_value_is_hidden_in_every_disguise(disguise: object) -> None:
    hide(CANARY)
    said = redact(f"it was {disguise(CANARY)}, was it not")  # type: ignore[operator]
    assert "canary" not in said
    assert said.startswith("it was ")
    assert said.endswith(", was it not")


def test_a_secret_that_is_a_part_of_another_leaves_nothing_of_it() -> None:
    hide("canary-1")
    hide("canary-1-and-more")
    assert redact("canary-1-and-more, canary-1") == f"{HIDDEN}, {HIDDEN}"


@pytest.mark.parametrize(
    "text",
    [
        f"api_key={OTHER}",
        f"API-Key: {OTHER}",
        f"x-api-key: {OTHER}",
        f"{{'x-api-key': '{OTHER}'}}",
        f'{{"password": "{OTHER}", "user": "me"}}',
        f'"password": "{OTHER}',
        f"('x-api-key', '{OTHER}')",
        f"b'x-api-key': b'{OTHER}'",
        f"Authorization: Bearer {OTHER}",
        f"authorization: Basic {OTHER}",
        f"PGPASSWORD={OTHER} psql",
        f"AUTOMAGIK_SECRET_KEY={OTHER}",
        f"access_token={OTHER}&x=1",
        f"https://host/path?token={OTHER}",
        f"client_secret => {OTHER}",
        f"postgresql://me:{OTHER}@db:5432/x",
        f"redis://:{OTHER}@redis:6379/0",
        f"redis://:p@{OTHER}@redis:6379/0",
        f"Set-Cookie: {OTHER}; path=/",
    ],
)
def test_what_a_name_tells_to_be_secret_is_hidden_though_nobody_knows_it(text: str) -> None:
    assert OTHER not in redact(text)
    assert HIDDEN in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "Task automagik.run[0198] succeeded in 0.05s: 'completed'",
        'password authentication failed for user "me"',
        "total_tokens=51, max_tokens: 100",
        "AUTOMAGIK_SECRET_KEY is not set and /x/secret.key does not exist.",
        "AM-SECRET: A stored secret cannot be decrypted",
        "Connected to redis://redis:6379/0, then http://host:80/a@b",
        "duplicate key value violates unique constraint: (id)=(5)",
    ],
)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("word", ["postgres", "automagik", "abc12"])
def test_a_password_that_is_a_common_word_is_hidden_by_its_place_only(word: str) -> None:
    hide(word)
    said = redact(f"{word}: connected to x://{word}:{word}@db")
    assert said == f"{word}: connected to x://{word}:{HIDDEN}@db"


@pytest.mark.parametrize("text", ["token", "://", "token='" + "\\" * 9, "secret: "])
def test_what_a_stranger_sends_again_and_again_is_got_over(text: str) -> None:
    """A pattern that goes back and forth in it would not be done within a test's time."""
    assert OTHER not in redact(f"{text * 20_000} password={OTHER}")


def test_a_field_is_hidden_by_its_own_name_and_by_those_inside() -> None:
    assert redacted("api_key", OTHER) == HIDDEN
    assert redacted("Authorization", [OTHER]) == HIDDEN
    fields = {"headers": {"X-API-Key": OTHER, "accept": "json"}, "tries": [1, None, True, 0.5]}
    assert redacted("call", fields) == {
        "headers": {"X-API-Key": HIDDEN, "accept": "json"},
        "tries": [1, None, True, 0.5],
    }


def test_a_field_that_only_its_own_words_can_tell_is_redacted_too() -> None:
    hide(OTHER)
    assert OTHER not in str(redacted("error", ValueError(f"refused {OTHER}")))


def test_all_secrets_of_the_settings_are_known() -> None:
    keys = [Fernet.generate_key().decode() for _ in range(2)]
    hide_secrets_of(
        Settings(
            database_url=SecretStr("postgresql://me:canary%2F1@db/x?sslpassword=canary-2"),
            redis_url=SecretStr("redis://:canary-3@redis/0"),
            langflow_api_key=SecretStr("canary-4"),
            secret_key=SecretStr(", ".join(keys)),
        )
    )
    said = redact(" ".join(["canary%2F1 canary/1 canary-2 canary-3 canary-4", *keys, "end"]))
    assert said == " ".join([HIDDEN] * 7 + ["end"])


def test_an_api_key_is_known_as_soon_as_it_is_decrypted(settings: Settings) -> None:
    keyring = Keyring.of(settings)
    stored = keyring.encrypt(SecretStr(OTHER))
    assert OTHER in redact(f"sent {OTHER}")
    keyring.decrypt(stored)
    assert redact(f"sent {OTHER}") == f"sent {HIDDEN}"
