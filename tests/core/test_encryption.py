"""Secrets at rest: whose keys encrypt them, and what is said when they cannot be read."""

import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from automagik.core.encryption import Keyring, SecretUnreadable
from automagik.core.exceptions import ConfigurationError

CANARY = SecretStr("sk-canary")


def keyring(home: Path, *keys: str) -> Keyring:
    configured = SecretStr(",".join(keys)) if keys else None
    return Keyring(configured=configured, file=home / "secret.key")


def test_what_is_stored_does_not_show_the_secret(tmp_path: Path) -> None:
    keys = keyring(tmp_path, Fernet.generate_key().decode())
    stored = keys.encrypt(CANARY)

    assert "canary" not in stored
    assert keys.decrypt(stored) == CANARY


def test_the_newest_key_encrypts_and_older_ones_still_decrypt(tmp_path: Path) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    both = keyring(tmp_path, new, f" {old} ")

    assert both.decrypt(keyring(tmp_path, old).encrypt(CANARY)) == CANARY
    assert keyring(tmp_path, new).decrypt(both.encrypt(CANARY)) == CANARY


def test_without_a_configured_key_one_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    stored = keyring(home).encrypt(CANARY)
    made = (home / "secret.key").read_text()
    keyring(home).encrypt(CANARY)

    assert keyring(home).decrypt(stored) == CANARY
    assert (home / "secret.key").read_text() == made
    assert stat.S_IMODE((home / "secret.key").stat().st_mode) == 0o600
    assert [file.name for file in home.iterdir()] == ["secret.key"]


def test_processes_that_need_a_key_at_the_same_moment_get_the_same(tmp_path: Path) -> None:
    together = Barrier(8)

    def encrypt(_: int) -> str:
        together.wait()
        return keyring(tmp_path).encrypt(CANARY)

    with ThreadPoolExecutor(8) as threads:
        stored = list(threads.map(encrypt, range(8)))

    assert {keyring(tmp_path).decrypt(token) for token in stored} == {CANARY}


def test_a_host_without_a_key_says_so_and_makes_none(tmp_path: Path) -> None:
    stored = keyring(tmp_path, Fernet.generate_key().decode()).encrypt(CANARY)

    with pytest.raises(SecretUnreadable, match="AUTOMAGIK_SECRET_KEY is not set") as caught:
        keyring(tmp_path).decrypt(stored)
    assert "same AUTOMAGIK_SECRET_KEY on every host" in str(caught.value.hint)
    assert not (tmp_path / "secret.key").exists()


def test_another_key_cannot_read_it(tmp_path: Path) -> None:
    stored = keyring(tmp_path, Fernet.generate_key().decode()).encrypt(CANARY)

    with pytest.raises(SecretUnreadable) as caught:
        keyring(tmp_path, Fernet.generate_key().decode()).decrypt(stored)
    assert "same AUTOMAGIK_SECRET_KEY on every host" in str(caught.value.hint)


def test_a_key_made_here_before_one_was_configured_is_remembered(tmp_path: Path) -> None:
    stored = keyring(tmp_path).encrypt(CANARY)

    with pytest.raises(SecretUnreadable) as caught:
        keyring(tmp_path, Fernet.generate_key().decode()).decrypt(stored)
    assert str(tmp_path / "secret.key") in str(caught.value.hint)


@pytest.mark.parametrize("bad", ["hunter2", "", ","])
def test_a_bad_key_is_refused_with_the_command_that_makes_a_good_one(
    bad: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="AUTOMAGIK_SECRET_KEY") as caught:
        keyring(tmp_path, bad).encrypt(CANARY)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"

    command = str(caught.value.hint).partition(": ")[2]
    good = subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout
    assert keyring(tmp_path, good).encrypt(CANARY)


def test_a_home_that_cannot_be_written_is_a_matter_of_configuration(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("no folder")

    with pytest.raises(ConfigurationError, match="cannot be made"):
        keyring(tmp_path / "home").encrypt(CANARY)
