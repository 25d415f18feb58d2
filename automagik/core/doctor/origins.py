"""Where the value of each setting comes from."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from automagik.core.config import Settings

MASK = "***"


class Origin(StrEnum):
    """From the strongest to the weakest."""

    ENVIRONMENT = "environment"
    FILE = ".env"
    EMBEDDED = "embedded stack"
    DEFAULT = "default"


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingOrigin:
    """One setting, fit to be shown."""

    name: str
    """The variable that sets it."""
    value: str | None
    """Secrets are masked; None when it is not set."""
    origin: Origin


def origins(settings: Settings) -> list[SettingOrigin]:
    environment, file = EnvSettingsSource(Settings)(), DotEnvSettingsSource(Settings)()
    found = []
    for field, info in Settings.model_fields.items():
        alias = info.validation_alias if isinstance(info.validation_alias, str) else None
        names = {field, alias}
        value = getattr(settings, field)
        found.append(
            SettingOrigin(
                name=alias or f"AUTOMAGIK_{field.upper()}",
                value=_shown(value),
                origin=_origin(
                    in_environment=not names.isdisjoint(environment),
                    in_file=not names.isdisjoint(file),
                    is_default=value == info.get_default(call_default_factory=True),
                ),
            )
        )
    return found


def _origin(*, in_environment: bool, in_file: bool, is_default: bool) -> Origin:
    if in_environment:
        return Origin.ENVIRONMENT
    if in_file:
        return Origin.FILE
    return Origin.DEFAULT if is_default else Origin.EMBEDDED


def _shown(value: Any) -> str | None:
    if value is None:
        return None
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    if "://" in text:
        return masked_url(text)
    return MASK if isinstance(value, SecretStr) else text


def masked_url(url: str) -> str:
    """Scheme, user, place and path: never the password, nor a query, which may hold one."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return MASK
    has_user = parts.username or parts.password
    user = f"{parts.username or ''}{f':{MASK}' if parts.password else ''}@" if has_user else ""
    query = f"?{MASK}" if parts.query else ""
    return f"{parts.scheme}://{user}{parts.hostname or ''}{port}{parts.path}{query}"
