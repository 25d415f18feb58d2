"""Changing one setting in a file that a person has written."""

import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automagik.core.exceptions import Conflict, InvalidInput
from automagik.core.settings.change import checked_value, drop, known_key, put, with_setting

KEYS = ("queue", "timezone", "langflow_api_url")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TABLES = st.dictionaries(st.sampled_from(KEYS), TEXTS)
PROFILES = st.dictionaries(st.sampled_from(["prod", "a b", "ä"]), TABLES, max_size=2)


def written(base: dict[str, str], profiles: dict[str, dict[str, str]]) -> str:
    """As a person may write it: each key with a comment of its own."""
    lines = ["# at the top"]
    for header, table in [("", base), *((f'[ profiles."{n}" ]', t) for n, t in profiles.items())]:
        lines += ["", header] if header else []
        for key, value in table.items():
            lines += [f"# about {key}", f"{key} = {_basic(value)} # {key} is here"]
    return "\n".join(lines)


def _basic(text: str) -> str:
    return '"' + "".join(f"\\U{ord(character):08x}" for character in text) + '"'


@given(
    base=TABLES,
    profiles=PROFILES,
    key=st.sampled_from(KEYS),
    value=TEXTS | st.none(),
    profile=st.sampled_from([None, "prod", "a b", "ä", 'q"t']),
)
def test_exactly_this_setting_changes_and_all_comments_stay(
    base: dict[str, str],
    profiles: dict[str, dict[str, str]],
    key: str,
    value: str | None,
    profile: str | None,
) -> None:
    before = written(base, profiles)
    wanted: dict[str, Any] = {**base, **({"profiles": profiles} if profiles else {})}
    table = wanted if profile is None else profiles.get(profile, {})
    is_there = key in table
    if value is None and not is_there:
        return

    after = with_setting(before, key, value, profile=profile)

    now = tomllib.loads(after)
    changed = now if profile is None else now["profiles"][profile]
    assert changed.pop(key, None) == value
    if profile is not None and profile not in profiles:
        del now["profiles"][profile]
    table.pop(key, None)
    now_profiles, then_profiles = now.pop("profiles", {}), wanted.pop("profiles", {})
    assert (now, now_profiles) == (wanted, then_profiles)
    lost = {line for line in before.splitlines() if line.startswith("#")} - set(after.splitlines())
    assert not lost
    if value is not None and is_there:
        assert after.count(f"# {key} is here") == before.count(f"# {key} is here")


@pytest.mark.parametrize(
    "text", ['queue = """\na"""', 'profiles = {prod = {queue = "a"}}', 'profiles.prod.queue = "a"']
)
def test_a_form_that_is_not_understood_is_left_alone(text: str) -> None:
    with pytest.raises(Conflict, match=r"by hand|form"):
        with_setting(text, "queue", "b", profile=None if text.startswith("queue") else "prod")


class TestFile:
    def test_it_is_made_and_what_holds_a_secret_is_closed_to_others(self, tmp_path: Path) -> None:
        file = tmp_path / "new" / "config.toml"
        put(file, "timezone", "Europe/Berlin")
        assert stat.S_IMODE(file.stat().st_mode) & stat.S_IRUSR
        put(file, "database_url", "postgresql://db/x")
        put(file, "secret_key", "env:KEY")
        file.chmod(0o644)

        put(file, "redis_url", "redis://:s3cret@cache")

        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert drop(file, "redis_url")
        assert not drop(file, "redis_url")
        assert tomllib.loads(file.read_text()).keys() == {"timezone", "database_url", "secret_key"}

    def test_the_mode_and_the_link_of_another_stay(self, tmp_path: Path) -> None:
        real, link = tmp_path / "real.toml", tmp_path / "automagik.toml"
        real.write_text("")
        real.chmod(0o640)
        link.symlink_to(real)

        put(link, "queue", "gpu")

        assert link.is_symlink()
        assert stat.S_IMODE(real.stat().st_mode) == 0o640
        assert real.read_text() == 'queue = "gpu"\n'


@pytest.mark.parametrize("word", ["TIMEZONE", "timezone", "AUTOMAGIK_MAX_RETRIES", "max-retries"])
def test_a_key_is_known_by_each_of_its_names(word: str) -> None:
    assert known_key(word) in ("timezone", "max_retries")


def test_an_unknown_key_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidInput) as refused:
        known_key("AUTOMAGIK_MAX_RETIRES")
    assert "max_retries" in (refused.value.hint or "")


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("max_retries", "5", 5),
        ("lease_seconds", "2.5", 2.5),
        ("queue", "5", "5"),
        ("retention_failed", "30d", "30d"),
        ("secret_key", "env:NOWHERE", "env:NOWHERE"),
    ],
)
def test_a_value_is_written_as_what_it_is(key: str, text: str, value: Any) -> None:
    assert checked_value(key, text) == value


@pytest.mark.parametrize(
    ("key", "text"),
    [("max_retries", "-1"), ("max_retries", "many"), ("timezone", "Mars"), ("lease_seconds", "0")],
)
def test_a_wrong_value_is_refused_before_it_is_written(key: str, text: str) -> None:
    with pytest.raises(InvalidInput, match=key):
        checked_value(key, text)
