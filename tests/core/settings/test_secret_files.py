"""Secrets in files of their own: those of Docker, Kubernetes and systemd."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from automagik.core.config import Settings
from automagik.core.settings.exceptions import InvalidSettings
from automagik.core.settings.layers import Origin
from automagik.core.settings.origins import origins
from tests.core.settings.places import Places, empty_places

SECRETS = {
    "DATABASE_URL": "database_url",
    "REDIS_URL": "redis_url",
    "LANGFLOW_API_KEY": "langflow_api_key",
    "AUTOMAGIK_SECRET_KEY": "secret_key",
}
URL = "postgresql://user:secret@there/name"


@pytest.fixture
def places() -> Iterator[Places]:
    with empty_places() as found:
        for name in SECRETS:
            found.patch.delenv(f"{name}_FILE", raising=False)
        found.patch.delenv("CREDENTIALS_DIRECTORY", raising=False)
        yield found


@pytest.fixture
def credentials(places: Places, tmp_path: Path) -> Path:
    places.patch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    return tmp_path


def read_secret(settings: Settings, field: str) -> str:
    found: str = getattr(settings, field).get_secret_value()
    return found


def told(settings: Settings, key: str) -> tuple[Origin, str, str | None]:
    found = next(each for each in origins(settings) if each.key == key)
    return found.origin, found.place, found.value


@pytest.mark.parametrize(("name", "field"), SECRETS.items())
def test_a_secret_may_be_in_a_file_that_a_variable_names(
    places: Places, tmp_path: Path, name: str, field: str
) -> None:
    file = tmp_path / "anything"
    file.write_text(f"{URL}\n")
    places.patch.setenv(f"{name}_FILE", str(file))
    read = places.read()

    assert read_secret(read, field) == URL
    assert told(read, field)[:2] == (Origin.SECRET_FILE, f"env {name}_FILE (file:{file})")


@pytest.mark.parametrize(("name", "field"), SECRETS.items())
def test_a_secret_may_be_a_credential_of_its_name(
    places: Places, credentials: Path, name: str, field: str
) -> None:
    (credentials / name).write_text(URL)
    read = places.read()

    assert read_secret(read, field) == URL
    assert told(read, field)[1].startswith(f"credential {name} ")


def test_the_environment_beats_a_credential_which_beats_dotenv_and_files(
    places: Places, credentials: Path
) -> None:
    (credentials / "REDIS_URL").write_text("redis://credential")
    places.dotenv.write_text("REDIS_URL=redis://dotenv")
    places.project.write_text('redis_url = "redis://project"')

    assert places.read().require_redis_url() == "redis://credential"
    places.patch.setenv("REDIS_URL", "redis://environment")
    assert places.read().require_redis_url() == "redis://environment"


def test_a_named_file_beats_a_credential(places: Places, credentials: Path) -> None:
    (credentials / "REDIS_URL").write_text("redis://credential")
    (credentials / "other").write_text("redis://named")
    places.patch.setenv("REDIS_URL_FILE", str(credentials / "other"))

    assert places.read().require_redis_url() == "redis://named"


def test_a_secret_that_is_said_twice_is_refused(places: Places, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(URL)
    places.patch.setenv("DATABASE_URL_FILE", str(tmp_path / "url"))
    places.patch.setenv("DATABASE_URL", URL)

    with pytest.raises(InvalidSettings, match="DATABASE_URL and DATABASE_URL_FILE are both set"):
        places.read()
    places.patch.setenv("DATABASE_URL", "")
    assert read_secret(places.read(), "database_url") == URL


@pytest.mark.parametrize(("text", "what"), [(None, "No such file"), (" \n", "the file is empty")])
def test_a_file_without_a_secret_is_told_of_and_its_name_is_said(
    places: Places, tmp_path: Path, text: str | None, what: str
) -> None:
    file = tmp_path / "key"
    if text is not None:
        file.write_text(text)
    places.patch.setenv("AUTOMAGIK_SECRET_KEY_FILE", str(file))

    with pytest.raises(InvalidSettings, match=rf"secret_key: file:{file} gives nothing: {what}"):
        places.read()


def test_what_is_shown_of_it_is_masked(places: Places, credentials: Path) -> None:
    (credentials / "DATABASE_URL").write_text(URL)

    assert told(places.read(), "database_url")[2] == "postgresql://user:••••@there/name"


def test_other_credentials_of_the_service_do_not_matter(places: Places, credentials: Path) -> None:
    (credentials / "TIMEZONE").write_text("Mars/Olympus")
    (credentials / "tls.key").write_text("x")

    assert places.read().timezone == "UTC"
