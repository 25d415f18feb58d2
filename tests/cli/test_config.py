"""`automagik config`, `--profile`, and that nothing secret is ever shown."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from automagik.core.config import Settings
from tests.cli.command_line import Cli, Result, cli_in
from tests.core.settings.places import Places, empty_places

CANARY = "canary-s3cret"


@pytest.fixture
def places() -> Iterator[Places]:
    with empty_places() as found:
        yield found


@pytest.fixture
def here(places: Places) -> Cli:
    """The command line in the project's folder, where no server is known."""
    return cli_in(places.project.parent, places.patch)


def shown(result: Result) -> dict[str, tuple[str, str]]:
    return {line[0]: (line[1], line[2]) for line in result.lines}


class TestShow:
    def test_every_setting_has_its_value_and_where_it_comes_from(
        self, here: Cli, places: Places
    ) -> None:
        places.project.write_text('timezone = "Europe/Berlin"')
        places.patch.setenv("AUTOMAGIK_QUEUE", "gpu")

        found = shown(here("config", "show", "--origin"))

        assert found.keys() == Settings.model_fields.keys()
        assert found["timezone"] == ("Europe/Berlin", "automagik.toml:1")
        assert found["queue"] == ("gpu", "env AUTOMAGIK_QUEUE")
        assert found["max_retries"] == ("3", "default")

    def test_only_what_is_set(self, here: Cli, places: Places) -> None:
        places.project.write_text("max_retries = 5")

        assert shown(here("config", "show", "--origin", "--set")).keys() == {"home", "max_retries"}

    def test_json_has_the_kind_of_the_origin_and_the_variable(
        self, here: Cli, places: Places
    ) -> None:
        places.user.write_text("max_retries = 5")

        items = {each["key"]: each for each in here("config", "show", "-o", "json").items}

        assert items["max_retries"] == {
            "name": "AUTOMAGIK_MAX_RETRIES",
            "key": "max_retries",
            "value": "5",
            "origin": "user file",
            "place": f"{places.user}:1",
        }

    def test_wrong_settings_are_refused_with_their_places(self, here: Cli, places: Places) -> None:
        places.project.write_text("\nmax_retries = -1")

        result = here("config", "show")

        assert result.exit_code == 2
        assert "automagik.toml:2" in result.stderr


class TestPath:
    def test_all_files_are_listed_read_or_not(self, here: Cli, places: Places) -> None:
        places.user.write_text("")

        found = {item["file"]: item for item in here("config", "path", "-o", "json").items}

        assert {name: item["is_read"] for name, item in found.items()} == {
            ".env": False,
            "project": False,
            "user": True,
        }
        assert found["user"]["path"] == str(places.user)

    def test_the_project_file_may_be_above(self, places: Places) -> None:
        places.project.write_text("max_retries = 5")
        below = places.project.parent / "below"
        below.mkdir()

        found = cli_in(below, places.patch)("config", "path", "-o", "json").items

        assert [item["path"] for item in found if item["file"] == "project"] == [
            str(places.project)
        ]

    def test_it_helps_with_a_file_that_is_wrong(self, here: Cli, places: Places) -> None:
        places.project.write_text("[[[")
        assert here("config", "path").exit_code == 0


class TestGet:
    def test_the_value_alone_is_printed(self, here: Cli, places: Places) -> None:
        places.project.write_text("max_retries = 5")
        assert here("config", "get", "AUTOMAGIK_MAX_RETRIES").stdout == "5\n"

    def test_what_is_not_set_is_exit_1(self, here: Cli) -> None:
        result = here("config", "get", "retention_failed")
        assert (result.exit_code, result.stdout) == (1, "")

    def test_an_unknown_key_is_refused_with_the_nearest(self, here: Cli) -> None:
        result = here("config", "get", "max_retires")
        assert result.exit_code == 2
        assert "max_retries" in result.stderr


class TestSet:
    def test_what_is_set_counts_at_once_and_comments_stay(self, here: Cli, places: Places) -> None:
        places.project.write_text("# ours\nmax_retries = 5  # enough\n")

        assert here("config", "set", "max_retries", "7").exit_code == 0

        assert places.project.read_text() == "# ours\nmax_retries = 7  # enough\n"
        assert here("config", "get", "max_retries").stdout == "7\n"
        assert here("config", "unset", "max_retries").exit_code == 0
        assert here("config", "get", "max_retries").stdout == "3\n"

    def test_without_a_project_file_it_is_the_users(self, here: Cli, places: Places) -> None:
        here("config", "set", "queue", "gpu")
        here("config", "set", "queue", "cpu", "--project")

        assert places.user.read_text() == 'queue = "gpu"\n'
        assert places.project.read_text() == 'queue = "cpu"\n'
        assert here("config", "set", "queue", "x", "--user", "--project").exit_code == 2

    def test_with_profile_it_is_that_profiles(self, here: Cli, places: Places) -> None:
        places.project.write_text("max_retries = 1\n")

        assert here("--profile", "prod", "config", "set", "max_retries", "9").exit_code == 0

        assert "[profiles.prod]\nmax_retries = 9" in places.project.read_text()
        assert here("config", "get", "max_retries").stdout == "1\n"
        assert here("config", "get", "max_retries", "--profile", "prod").stdout == "9\n"

    def test_a_secret_comes_by_stdin_and_the_file_is_closed(
        self, here: Cli, places: Places
    ) -> None:
        result = here("config", "set", "langflow_api_key", "-", input=f"{CANARY}\n")

        assert CANARY in places.user.read_text()
        assert places.user.stat().st_mode & 0o077 == 0
        assert CANARY not in result.stdout + result.stderr

    def test_a_wrong_value_changes_nothing(self, here: Cli, places: Places) -> None:
        places.project.write_text("")

        assert here("config", "set", "max_retries", "many").exit_code == 2

        assert places.project.read_text() == ""

    def test_that_the_environment_wins_is_said(self, here: Cli, places: Places) -> None:
        places.patch.setenv("AUTOMAGIK_QUEUE", "x")
        assert "env AUTOMAGIK_QUEUE wins" in here("config", "set", "queue", "gpu").stderr


class TestProfiles:
    def test_one_is_used_until_another_is_named(self, here: Cli, places: Places) -> None:
        places.project.write_text(
            "max_retries = 1\n[profiles.prod]\nmax_retries = 7\n[profiles.lab]\nmax_retries = 8"
        )
        places.user.write_text("# mine\n")
        retries = ("config", "get", "max_retries")

        assert here("config", "use", "prod").exit_code == 0
        assert here(*retries).stdout == "7\n"
        assert here("--profile", "lab", *retries).stdout == "8\n"
        places.patch.setenv("AUTOMAGIK_PROFILE", "lab")
        assert here(*retries).stdout == "8\n"
        places.patch.delenv("AUTOMAGIK_PROFILE")
        assert here("config", "use", "--none").exit_code == 0
        assert here(*retries).stdout == "1\n"
        assert places.user.read_text() == "# mine\n"

    def test_an_unknown_one_is_refused_with_the_names(self, here: Cli, places: Places) -> None:
        places.project.write_text("[profiles.prod]")
        for words in (("config", "use", "prdo"), ("--profile", "prdo", "config", "show")):
            result = here(*words)
            assert result.exit_code == 2
            assert "prod" in result.stderr

    def test_commands_take_the_servers_of_the_profile(
        self, settings: Settings, here: Cli, places: Places
    ) -> None:
        places.patch.setenv("LAB_DATABASE", settings.require_database_url())
        places.project.write_text('[profiles.lab]\ndatabase_url = "env:LAB_DATABASE"')

        assert here("db", "current").exit_code == 2
        assert here("db", "current", "--profile", "lab").exit_code == 0


def _secrets_everywhere(places: Places, key_file: Path) -> None:
    key_file.write_text(CANARY)
    places.patch.setenv("AUTOMAGIK_SECRET_KEY", CANARY)
    places.patch.setenv("ELSEWHERE", f"redis://:{CANARY}@127.0.0.1:1/0")
    places.project.write_text(
        f'database_url = "postgresql://me:{CANARY}@127.0.0.1:1/x?sslpassword={CANARY}"\n'
        'redis_url = "env:ELSEWHERE"\n'
        'langflow_api_url = "http://127.0.0.1:1"\n'
        f'langflow_api_key = "file:{key_file}"\n'
        f'[profiles.bad]\nlangflow_api_key = 5\nsecret_key = ["{CANARY}"]\n'
        f'database_url = "mysql://me:{CANARY}@db/x"\nmax_retries = -1\n'
        f'[profiles.odd]\ndatabase_url = "postgresql://me:{CANARY}@[db/x"\n'
        f'redis_url = "nothing://:{CANARY}@db"\n'
    )


@pytest.mark.parametrize("profile", [(), ("--profile", "bad"), ("--profile", "odd")])
def test_no_secret_is_shown_by_any_command_in_any_shape(
    here: Cli, places: Places, profile: tuple[str, ...]
) -> None:
    _secrets_everywhere(places, places.user.parent / "key")
    commands = [
        ("config", "show"),
        ("config", "path"),
        *(("config", "get", key) for key in ("secret_key", "database_url", "langflow_api_key")),
        ("config", "set", "queue", "gpu"),
        ("doctor",),
        ("doctor", "--fix"),
        ("status",),
        ("db", "current"),
        ("sources", "list"),
    ]
    places.patch.setenv("AUTOMAGIK_DEBUG", "1")
    for command in commands:
        for shape in ("table", "tsv", "json", "yaml"):
            said = here(*profile, *command, "-o", shape)
            assert CANARY not in said.stdout + said.stderr, command
    if not profile:
        assert "127.0.0.1" in here("config", "get", "database_url").stdout
