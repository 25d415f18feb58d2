"""Where the value of each setting comes from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from automagik.core.config import Settings
from automagik.core.settings.files import CHOICE, SettingsFile
from automagik.core.settings.layers import (
    Found,
    Layers,
    Origin,
    is_reference,
    is_secret,
    read_layers,
    variable,
)

MASK = "••••"


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingOrigin:
    """One setting, fit to be shown."""

    name: str
    """The variable that sets it."""
    key: str
    """Its name in files."""
    value: str | None
    """Secrets are masked; None when it is not set."""
    origin: Origin
    place: str
    """`env DATABASE_URL`, `automagik.toml:12`: where to change it."""


def layers_of(settings: Settings) -> Layers:
    """What was said, for the profile that these settings were read with."""
    usual = read_layers(Settings, {})
    chosen = usual.profile.value if usual.profile else None
    if settings.profile in (None, chosen):
        return usual
    return read_layers(Settings, {CHOICE: settings.profile})


def origins(settings: Settings) -> list[SettingOrigin]:
    winners = layers_of(settings).winners
    found = []
    for field in Settings.model_fields:
        value = getattr(settings, field)
        who = winners.get(field) or _nobody(field, value)
        found.append(
            SettingOrigin(
                name=variable(Settings, field),
                key=field,
                value=_shown(value),
                origin=who.origin,
                place=who.place,
            )
        )
    return found


def overruled(layers: Layers) -> Sequence[tuple[str, Found]]:
    """What the chosen profile says, and somebody above it says, too: its key and who wins."""
    if layers.profile is None:
        return []
    name = str(layers.profile.value)
    wanted = {key for file in layers.files for key in file.profiles.get(name, {})}
    above = (Origin.ENVIRONMENT, Origin.SECRET_FILE, Origin.DOTENV)
    winners = layers.winners
    return [(key, winners[key]) for key in sorted(wanted) if winners[key].origin in above]


def holds_secret(file: SettingsFile) -> bool:
    """Whether a secret itself stands in it, for any profile."""
    return any(
        is_secret(Settings, key) and _is_private(entry.value)
        for entries in (file.base, *file.profiles.values())
        for key, entry in entries.items()
        if key in Settings.model_fields
    )


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


def _nobody(field: str, value: Any) -> Found:
    default = Settings.model_fields[field].get_default(call_default_factory=True)
    origin = Origin.DEFAULT if value == default else Origin.EMBEDDED
    return Found(value=value, origin=origin, place=str(origin))


def _shown(value: Any) -> str | None:
    if value is None:
        return None
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    if "://" in text:
        return masked_url(text)
    return MASK if isinstance(value, SecretStr) else text


def _is_private(value: Any) -> bool:
    """A URL without a password is no secret."""
    if not isinstance(value, str) or is_reference(value):
        return False
    return masked_url(value) != value if "://" in value else bool(value)
