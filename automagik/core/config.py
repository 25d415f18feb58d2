"""Settings: the only reader of the environment and of the files with settings.

`core/settings/layers.py` says who beats whom.
"""

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from platformdirs import user_data_path
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from automagik.core.embedded.lock import stack_is_running
from automagik.core.exceptions import ConfigurationError
from automagik.core.logs.log_format import LogFormat
from automagik.core.scheduler.exceptions import InvalidCadence
from automagik.core.scheduler.interval import parse_every
from automagik.core.settings.exceptions import InvalidSettings, SettingProblem
from automagik.core.settings.layers import Layer, Readable, read_layers

STATE_FILE = "state.json"


def default_home() -> Path:
    """The data folder. Root's is outside /root, because PostgreSQL runs there as another user."""
    if os.geteuid() == 0:
        return Path("/var/lib/automagik")
    return user_data_path("automagik")


class Settings(Readable):
    """Every setting of the product. The names without a prefix are those of the LangFlow world."""

    model_config = SettingsConfigDict(
        env_prefix="AUTOMAGIK_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
    )

    PROJECT_FILE: ClassVar[str | None] = "automagik.toml"
    """Looked for in the working directory and above; beside it counts the user's own file."""

    profile: str | None = None
    """Which of the tables [profiles.NAME] of the files counts."""
    home: Path = Field(default_factory=default_home)
    """The data folder of `automagik up`; for root /var/lib/automagik, else the user's own."""
    database_url: SecretStr | None = Field(None, validation_alias="DATABASE_URL")
    """postgresql://user:password@host:5432/name; unset: the server of `automagik up`."""
    redis_url: SecretStr | None = Field(None, validation_alias="REDIS_URL")
    """redis://:password@host:6379/0; unset: the server of `automagik up`."""
    timezone: str = Field("UTC", validation_alias="TIMEZONE")
    """The zone of schedules that name none, and of dates that people type."""
    langflow_api_url: str | None = Field(None, validation_alias="LANGFLOW_API_URL")
    """The address of a LangFlow server, which becomes the source named default."""
    langflow_api_key: SecretStr | None = Field(None, validation_alias="LANGFLOW_API_KEY")
    """The API key of that server."""

    secret_key: SecretStr | None = None
    """Fernet keys that encrypt API keys at rest, newest first, separated by commas."""

    queue: str = "automagik"
    """The name of the ready-queue in Redis."""
    ready_queue_target: int = Field(300, ge=1)
    """How many deliveries may wait in Redis at least; the backlog itself waits in PostgreSQL."""

    lease_seconds: float = Field(30.0, gt=0, allow_inf_nan=False)
    """How long a worker owns a run without a sign of life."""
    beat_max_wait_seconds: float = Field(2.0, gt=0, allow_inf_nan=False)
    """How long a beat sleeps at most when nothing is due and nobody notifies it."""
    reconcile_seconds: float = Field(15.0, gt=0, allow_inf_nan=False)
    """How long a delivery may be missing from Redis, unclaimed, before it goes out again."""
    misfire_grace_seconds: float = Field(60.0, ge=0, allow_inf_nan=False)
    """How late an occurrence still runs on its own; one run makes up for all older ones."""
    min_interval_seconds: float = Field(1.0, ge=0, allow_inf_nan=False)
    """How close two occurrences of one schedule may come; a schedule that breaks it is refused."""
    retention_completed: timedelta | None = Field(None, gt=timedelta())
    """How long a completed task is kept after its end, such as 30d or 12h; unset: for ever."""
    retention_failed: timedelta | None = Field(None, gt=timedelta())
    """The same for a failed task."""
    retention_cancelled: timedelta | None = Field(None, gt=timedelta())
    """The same for a cancelled task."""

    run_timeout_seconds: float = Field(600.0, gt=0, allow_inf_nan=False)
    """The total deadline of one attempt, unless the flow or the schedule has its own."""
    max_retries: int = Field(3, ge=0)
    """How often a failed run is tried again, unless the flow or the schedule says otherwise."""
    connect_timeout_seconds: float = Field(10.0, gt=0, allow_inf_nan=False)
    """How long it may take until a source accepts a connection."""
    max_answer_bytes: int = Field(32 * 1024 * 1024, gt=0)
    """How large an answer of a source may be."""

    breaker_failures: int = Field(5, ge=1)
    """After how many attempts in a row that found a source down it gets no more runs."""
    breaker_pause_seconds: float = Field(10.0, gt=0, allow_inf_nan=False)
    """How long until one run tries whether it is back; doubled each time that it is not."""

    log_format: LogFormat = LogFormat.AUTO
    """How beats and workers write their logs: json, console, or auto: console on a terminal."""

    worker_concurrency: int = Field(10, ge=1)
    """How many runs a worker has at a time, unless it is started with another number."""
    drain_seconds: float = Field(20.0, ge=0, allow_inf_nan=False)
    """How long a stopping worker lets its runs finish before it gives them back."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Files say only what nobody above them has said, so some may stand above `.env`."""
        said = read_layers(cls, init_settings()).of_files()
        files = InitSettingsSource(settings_cls, init_kwargs=said)
        return (init_settings, env_settings, files, dotenv_settings)

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is no IANA time zone, such as Europe/Berlin") from error
        return name

    @field_validator(
        "retention_completed", "retention_failed", "retention_cancelled", mode="before"
    )
    @classmethod
    def _age_has_a_unit(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return parse_every(value)
        except InvalidCadence as error:
            raise ValueError(f"{value!r} is no age, such as 30d, 12h or 90m") from error

    @property
    def min_interval(self) -> timedelta:
        return timedelta(seconds=self.min_interval_seconds)

    def require_database_url(self) -> str:
        """The URL for psycopg2. Raises ConfigurationError when neither set nor embedded."""
        return with_driver(self._require(self.database_url, "DATABASE_URL"))

    def require_redis_url(self) -> str:
        """Raises ConfigurationError when neither set nor embedded."""
        return self._require(self.redis_url, "REDIS_URL")

    def _require(self, value: SecretStr | None, name: str) -> str:
        if value is None:
            raise ConfigurationError(
                f"{name} is not set and no embedded stack runs in {self.home}.",
                hint=f"Start one with: automagik up, or set {name}.",
            )
        return value.get_secret_value()


@lru_cache
def get_settings(profile: str | None = None) -> Settings:
    """The settings of this process, read once; a profile that is named here beats all others.

    Raises InvalidSettings, which lists all that is wrong.
    """
    given = {"profile": profile} if profile else {}
    layers = read_layers(Settings, given)
    problems = list(layers.problems)
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        problems += _problems(error, layers.winners)
    # Not inside of `except`: the error that pydantic raises holds the values.
    if problems:
        raise InvalidSettings(problems)
    return settings.model_copy(update=_embedded_urls(settings))


def _problems(error: ValidationError, winners: Layer) -> Iterator[SettingProblem]:
    names = {info.validation_alias: name for name, info in Settings.model_fields.items()}
    for each in error.errors(include_input=False, include_url=False, include_context=False):
        key = names.get(str(each["loc"][0]), str(each["loc"][0]))
        place = winners[key].place if key in winners else "default"
        what = each["msg"].removeprefix("Value error, ")
        yield SettingProblem(key=key, what=what, place=place)


def _embedded_urls(settings: Settings) -> dict[str, Any]:
    """The URLs of the stack that `automagik up` keeps in the home, for those that are not set."""
    wanted = {n for n in ("database_url", "redis_url") if getattr(settings, n) is None}
    if not wanted or not stack_is_running(settings.home):
        return {}
    try:
        state = json.loads((settings.home / STATE_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return {n: SecretStr(state[n]) for n in wanted if state.get(n)}


def with_driver(url: str) -> str:
    """The same URL with psycopg2 named: SQLAlchemy's own default for postgresql:// is another."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.partition("+")[0] not in ("postgres", "postgresql"):
        raise ConfigurationError(
            "DATABASE_URL is not a URL of PostgreSQL.",
            hint="Write postgresql://user:password@host:5432/name",
        )
    return f"postgresql+psycopg2://{rest}" if "+" not in scheme else url
