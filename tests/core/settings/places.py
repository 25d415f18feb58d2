"""A folder of a project and a home of a user, with the files that settings are read from."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from automagik.core.config import Settings, get_settings
from automagik.core.settings.layers import variable


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Where a test may say what settings are."""

    project: Path
    user: Path
    dotenv: Path
    patch: pytest.MonkeyPatch

    def read(self, profile: str | None = None) -> Settings:
        """Anew. Raises InvalidSettings."""
        get_settings.cache_clear()
        return get_settings(profile)


@contextmanager
def empty_places() -> Iterator[Places]:
    """Nobody has said anything yet."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        home, project = Path(folder, "home"), Path(folder, "project")
        config = home / "config" / "automagik"
        for each in (project, config):
            each.mkdir(parents=True)
        for field in Settings.model_fields:
            patch.delenv(variable(Settings, field), raising=False)
        patch.setenv("XDG_CONFIG_HOME", str(home / "config"))
        patch.setenv("AUTOMAGIK_HOME", str(home / "data"))
        patch.setitem(Settings.model_config, "env_file", ".env")
        patch.setattr(Settings, "PROJECT_FILE", "automagik.toml")
        patch.chdir(project)
        yield Places(
            project=project / "automagik.toml",
            user=config / "config.toml",
            dotenv=project / ".env",
            patch=patch,
        )
        get_settings.cache_clear()
