"""Settings as people write them into the environment."""

from datetime import timedelta

import pytest

from automagik.core.config import get_settings
from automagik.core.exceptions import ConfigurationError
from tests.conftest import settings_in


@pytest.mark.parametrize(
    "text, age",
    [
        ("30d", timedelta(days=30)),
        ("12h", timedelta(hours=12)),
        ("90m", timedelta(minutes=90)),
        ("1d12h", timedelta(days=1, hours=12)),
        ("", None),
    ],
)
def test_retention_is_written_in_days_hours_and_minutes(
    text: str, age: timedelta | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with settings_in(monkeypatch, AUTOMAGIK_RETENTION_FAILED=text) as settings:
        assert settings.retention_failed == age
        assert settings.retention_completed is None


@pytest.mark.parametrize("text", ["30", "never", "-1d", "0d", "1.5h", "P30D"])
def test_another_retention_is_refused_in_plain_words(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number without a unit, too: 30 seconds are not meant."""
    monkeypatch.setenv("AUTOMAGIK_RETENTION_COMPLETED", text)
    get_settings.cache_clear()

    with pytest.raises(ConfigurationError) as refused:
        get_settings()

    assert refused.value.message == (
        f"retention_completed: {text!r} is no age, such as 30d, 12h or 90m"
        " (env AUTOMAGIK_RETENTION_COMPLETED)"
    )
