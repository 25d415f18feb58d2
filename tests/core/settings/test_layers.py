"""Who beats whom, and what is told of it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automagik.core.config import Settings, get_settings
from automagik.core.embedded.lock import HomeLock
from automagik.core.embedded.stack import Stack
from automagik.core.embedded.state import StateFile
from automagik.core.settings.exceptions import InvalidSettings
from automagik.core.settings.layers import Origin
from automagik.core.settings.origins import SettingOrigin, layers_of, origins, overruled
from tests.core.settings.places import Places, empty_places

ROOT = Path(__file__).parents[3]
SPEAKERS = ("env", ".env", "project[prod]", "user[prod]", "project", "user")
"""Who may say how often a run is tried again, from the strongest to the weakest."""
CHOOSERS = ("flag", "env", ".env", "project", "user")
"""Who may choose the profile, from the strongest to the weakest."""


@dataclass(frozen=True)
class Said:
    """Who spoke."""

    of_retries: frozenset[str]
    of_profile: frozenset[str]


CASES = st.builds(
    Said,
    of_retries=st.frozensets(st.sampled_from(SPEAKERS)),
    of_profile=st.frozensets(st.sampled_from(CHOOSERS)),
)


def value_of(speaker: str) -> int:
    """Each says something else."""
    return 10 + SPEAKERS.index(speaker)


def expected(said: Said) -> str | None:
    """The model: the first that speaks and is heard."""
    heard = [s for s in SPEAKERS if "[prod]" not in s or said.of_profile]
    return next((speaker for speaker in heard if speaker in said.of_retries), None)


def retries(speaker: str, said: Said) -> list[str]:
    return [f"max_retries = {value_of(speaker)}"] if speaker in said.of_retries else []


def say(places: Places, said: Said) -> None:
    """Everybody who chooses a profile chooses `prod`, which has a table wherever it is needed."""
    for name, path in (("project", places.project), ("user", places.user)):
        lines = ['profile = "prod"'] if name in said.of_profile else []
        lines += retries(name, said)
        lines += ["[profiles.prod]", *retries(f"{name}[prod]", said)]
        path.write_text("\n".join(lines))
    for speakers, name, text in (
        (said.of_retries, "AUTOMAGIK_MAX_RETRIES", "{}"),
        (said.of_profile, "AUTOMAGIK_PROFILE", "prod"),
    ):
        if "env" in speakers:
            places.patch.setenv(name, text.format(value_of("env")))
        if ".env" in speakers:
            with places.dotenv.open("a") as file:
                file.write(f"{name}={text.format(value_of('.env'))}\n")


def origin_of(key: str, read: Settings) -> SettingOrigin:
    return next(each for each in origins(read) if each.key == key)


@given(said=CASES)
@settings(deadline=None, max_examples=60)
def test_the_strongest_that_speaks_wins_and_is_told_as_the_origin(said: Said) -> None:
    with empty_places() as places:
        say(places, said)
        read = places.read("prod" if "flag" in said.of_profile else None)
        told = origin_of("max_retries", read)
    winner = expected(said)
    assert read.profile == ("prod" if said.of_profile else None)
    assert read.max_retries == (value_of(winner) if winner else 3)
    place = {
        None: "default",
        "env": "env AUTOMAGIK_MAX_RETRIES",
        ".env": ".env",
    }.get(winner) or (places.user if "user" in str(winner) else places.project).name
    assert place in told.place
    assert (told.origin is Origin.DEFAULT) is (winner is None)


@given(choosers=st.frozensets(st.sampled_from(CHOOSERS), min_size=1))
@settings(deadline=None, max_examples=25)
def test_so_it_is_with_who_chooses_the_profile(choosers: frozenset[str]) -> None:
    names = {chooser: f"p{index}" for index, chooser in enumerate(CHOOSERS)}
    tables = "\n".join(f"[profiles.{name}]" for name in names.values())
    with empty_places() as places:
        for chooser, file in (("project", places.project), ("user", places.user)):
            first = f'profile = "{names[chooser]}"\n' if chooser in choosers else ""
            file.write_text(first + tables)
        if "env" in choosers:
            places.patch.setenv("AUTOMAGIK_PROFILE", names["env"])
        if ".env" in choosers:
            places.dotenv.write_text(f"AUTOMAGIK_PROFILE={names['.env']}")
        read = places.read(names["flag"] if "flag" in choosers else None)
        told = origin_of("profile", read)
    winner = next(chooser for chooser in CHOOSERS if chooser in choosers)
    assert read.profile == names[winner]
    others = [each for each in Origin if each is not Origin.SECRET_FILE]
    assert told.origin is others[CHOOSERS.index(winner)]


def test_the_line_is_told(places: Places) -> None:
    places.project.write_text('# ours\n\ntimezone = "Europe/Berlin"\n[profiles.prod]\nqueue = "p"')

    read = places.read("prod")

    assert origin_of("timezone", read).place == "automagik.toml:3"
    assert origin_of("queue", read).place == "automagik.toml:5"
    assert origin_of("profile", read).place == "flag --profile"


def test_a_running_stack_gives_what_nobody_has_said(places: Places) -> None:
    home = Path(os.environ["AUTOMAGIK_HOME"])
    places.user.write_text('redis_url = "redis://said"')
    with HomeLock(home):
        StateFile(home).update(database_url="postgresql://stack", redis_url="redis://stack")
        read = places.read()

    assert read.require_database_url().endswith("://stack")
    assert origin_of("database_url", read).origin is Origin.EMBEDDED
    assert read.require_redis_url() == "redis://said"


class TestProjectFile:
    def test_it_counts_in_the_folders_below(self, places: Places) -> None:
        places.project.write_text("max_retries = 9")
        below = places.project.parent / "a" / "b"
        below.mkdir(parents=True)
        places.patch.chdir(below)

        assert places.read().max_retries == 9

    def test_the_nearest_counts_alone(self, places: Places) -> None:
        places.project.write_text('max_retries = 9\nqueue = "far"')
        below = places.project.parent / "a"
        below.mkdir()
        (below / "automagik.toml").write_text("max_retries = 8")
        places.patch.chdir(below)

        assert (places.read().max_retries, places.read().queue) == (8, "automagik")

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
    def test_above_one_of_somebody_else_does_not_count(self, places: Places) -> None:
        places.project.write_text("max_retries = 9")
        os.chown(places.project, 12345, 12345)
        assert places.read().max_retries == 9
        below = places.project.parent / "a"
        below.mkdir()
        places.patch.chdir(below)

        assert places.read().max_retries == 3


class TestSecrets:
    def test_a_secret_may_stand_elsewhere(self, places: Places) -> None:
        places.patch.setenv("PROD_URL", "postgresql://there")
        (places.project.parent / "key").write_text("sk-1\n")
        places.project.write_text(
            'database_url = "env:PROD_URL"\nlangflow_api_key = "file:key"\nqueue = "file:key"'
        )

        read = places.read()

        assert read.require_database_url().endswith("://there")
        assert read.langflow_api_key
        assert read.langflow_api_key.get_secret_value() == "sk-1"
        assert read.queue == "file:key", "only secrets are looked for elsewhere"
        assert origin_of("database_url", read).place == "automagik.toml:1 (env:PROD_URL)"

    @pytest.mark.parametrize("reference", ["env:NOWHERE", "file:nowhere"])
    def test_one_that_is_not_there_is_wrong_only_where_it_counts(
        self, places: Places, reference: str
    ) -> None:
        places.project.write_text(f'[profiles.prod]\nsecret_key = "{reference}"')
        assert places.read().secret_key is None

        with pytest.raises(InvalidSettings, match=rf"secret_key: {reference} .*automagik.toml:2"):
            places.read("prod")
        places.patch.setenv("AUTOMAGIK_SECRET_KEY", "given")
        assert places.read("prod").secret_key


class TestWrong:
    def test_everything_wrong_is_listed_at_once_with_its_place(self, places: Places) -> None:
        places.project.write_text('max_retires = 3\nlease_seconds = 0\n[profiles.prod]\nzone = "x"')
        places.user.write_text("[database]")
        places.patch.setenv("TIMEZONE", "Mars/Olympus")

        with pytest.raises(InvalidSettings) as refused:
            places.read()

        found = {(each.key, each.place) for each in refused.value.problems}
        user = str(places.user)
        assert found == {
            ("max_retires", "automagik.toml:1"),
            ("lease_seconds", "automagik.toml:2"),
            ("zone", "automagik.toml:4"),
            ("database", f"{user}:1"),
            ("timezone", "env TIMEZONE"),
        }
        assert "max_retries" in (refused.value.problems[0].hint or "")

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("queue =", "automagik.toml: cannot be read: Invalid value"),
            ("profiles = 1", "profiles: this is no table"),
            ("profiles.prod = 1", "prod: this is no table"),
            ('[profiles.prod]\nprofile = "b"', "profile: there is no such setting"),
        ],
    )
    def test_a_file_that_cannot_be_understood_is_refused(
        self, places: Places, text: str, words: str
    ) -> None:
        places.project.write_text(text)

        with pytest.raises(InvalidSettings, match=words):
            places.read()

    def test_an_unknown_profile_is_refused_with_the_names_of_the_others(
        self, places: Places
    ) -> None:
        places.project.write_text("[profiles.prod]\n[profiles.staging]")
        places.patch.setenv("AUTOMAGIK_PROFILE", "prdo")

        with pytest.raises(InvalidSettings, match="no profile 'prdo'") as refused:
            places.read()

        assert "(env AUTOMAGIK_PROFILE)" in refused.value.message
        assert refused.value.hint == "Did you mean 'prod'? The profiles are: prod, staging."


def test_what_a_profile_says_in_vain_is_known(places: Places) -> None:
    places.project.write_text('queue = "a"\n[profiles.prod]\nqueue = "b"\nmax_retries = 1')
    places.patch.setenv("AUTOMAGIK_QUEUE", "c")

    layers = layers_of(places.read("prod"))

    assert [(key, found.place) for key, found in overruled(layers)] == [
        ("queue", "env AUTOMAGIK_QUEUE")
    ]


def test_workers_and_beats_read_the_files_too(places: Places) -> None:
    """They start in a folder, and Celery reads its configuration there."""
    places.project.write_text(
        'redis_url = "redis://one"\n[profiles.prod]\nredis_url = "redis://two"\nqueue = "gpu"'
    )
    say_it = "import celeryconfig as c; print(c.broker_url, c.task_default_queue)"
    said = []
    for profile in ("", "prod"):
        environment = os.environ | {"AUTOMAGIK_PROFILE": profile, "PYTHONPATH": str(ROOT)}
        ended = subprocess.run(
            [sys.executable, "-c", say_it], env=environment, check=True, capture_output=True
        )
        said.append(ended.stdout.decode().split())

    assert said == [["redis://one", "automagik"], ["redis://two", "gpu"]]


def test_children_of_up_have_its_profile(places: Places) -> None:
    places.project.write_text("[profiles.prod]")

    given = Stack(places.read("prod"), tell=print).environment()

    assert given["AUTOMAGIK_PROFILE"] == "prod"
    assert "AUTOMAGIK_PROFILE" not in Stack(places.read(), tell=print).environment()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_home_that_is_closed_to_us_stops_nobody(places: Places) -> None:
    """As in containers that run as somebody whom the image did not expect."""
    places.user.parents[2].chmod(0o700)
    places.project.parent.parent.chmod(0o711)
    os.seteuid(12345)
    try:
        assert places.read().max_retries == 3
    finally:
        os.seteuid(0)


def test_settings_are_read_once(places: Places) -> None:
    places.project.write_text("max_retries = 1")
    assert places.read().max_retries == 1
    places.project.write_text("max_retries = 2")

    assert get_settings(None).max_retries == 1
