"""Each check of the doctor, with the part broken that it looks at."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.flows.sources import SourceManager
from automagik.core.flows.values import Breaker, Source, SourceCheck
from automagik.core.health.advisories import ADVISORIES, advisories_for, safe_version
from automagik.core.health.check import Check, Verdict
from automagik.core.health.diagnosis import diagnose
from automagik.core.health.history import size_check
from automagik.core.health.servers import check_redis
from automagik.core.health.settings import profile_check, variable_checks
from automagik.core.health.sources import source_warnings
from automagik.core.health.time_zones import packaged_release, rules_check
from tests.core.records import add_task, now
from tests.core.settings.places import empty_places
from tests.core.tasks.rows import add_beat, add_flow, add_worker

GB = 1_000_000_000


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.require_database_url())
    yield opened
    opened.dispose()


def found(settings: Settings) -> dict[str, Check]:
    return {check.name: check for check in diagnose(lambda: settings).checks}


class TestSettings:
    def test_all_that_is_wrong_is_listed_each_with_a_fix(self) -> None:
        with empty_places() as places:
            places.project.write_text("max_retires = 1\nlease_seconds = -1")
            places.patch.setenv("TIMEZONE", "Mars/Olympus")
            diagnosis = diagnose(places.read)

        assert not diagnosis.is_well
        assert len(diagnosis.checks) == 3
        assert all(check.verdict is Verdict.ERROR and check.fix for check in diagnosis.checks)

    def test_a_file_with_a_secret_that_others_can_read_is_seen(self) -> None:
        with empty_places() as places:
            places.project.write_text('[profiles.prod]\nredis_url = "redis://:s3cret@cache"')
            places.project.chmod(0o640)
            open_to_others = found(places.read())["Files"]
            places.project.chmod(0o600)
            closed = found(places.read())["Files"]

        assert open_to_others.verdict is Verdict.WARNING
        assert open_to_others.fix == "chmod 600 automagik.toml"
        assert closed.verdict is Verdict.OK

    def test_a_file_that_only_says_where_secrets_are_may_be_read(self) -> None:
        with empty_places() as places:
            places.project.write_text('secret_key = "env:X"\ndatabase_url = "postgresql://db/x"')
            places.patch.setenv("X", "y")
            places.project.chmod(0o644)

            assert found(places.read())["Files"].verdict is Verdict.OK

    def test_a_profile_that_the_environment_overrules_is_a_warning(self) -> None:
        assert profile_check("prod", []).verdict is Verdict.OK
        check = profile_check("prod", [("database_url", "env DATABASE_URL")])
        assert check.verdict is Verdict.WARNING
        assert "database_url (env DATABASE_URL)" in check.found

    def test_a_misspelt_variable_is_seen_and_no_other(self) -> None:
        names = ["AUTOMAGIK_MAX_RETIRES", "AUTOMAGIK_DEBUG", "AUTOMAGIK_QUEUE", "PATH", "TIMEZON"]

        [check] = variable_checks(names)

        assert check.found.startswith("AUTOMAGIK_MAX_RETIRES")
        assert check.fix == "Did you mean AUTOMAGIK_MAX_RETRIES?"


class TestTimeZoneRules:
    @pytest.mark.parametrize(
        ("system", "package", "verdict"),
        [
            ("2026a", "2026a", Verdict.OK),
            ("2026b", "2026a", Verdict.OK),
            ("2025c", "2026a", Verdict.WARNING),
            (None, "2026a", Verdict.OK),
            (None, "2023c", Verdict.WARNING),
            ("2023c", None, Verdict.WARNING),
            (None, None, Verdict.OK),
        ],
    )
    def test_they_are_the_newest_at_hand_and_not_too_old(
        self, system: str | None, package: str | None, verdict: Verdict
    ) -> None:
        assert rules_check(system, package, year=2026).verdict is verdict

    def test_the_package_says_its_release(self) -> None:
        release = packaged_release()
        assert release
        assert release[:4].isdigit()
        assert release[4:].isalpha()


class TestRedis:
    def test_an_evicting_policy_is_seen(self, settings: Settings) -> None:
        with closing(Redis.from_url(settings.require_redis_url())) as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
            try:
                checks = {check.name: check for check in check_redis(settings)}
            finally:
                client.config_set("maxmemory-policy", "noeviction")
        assert checks["Redis memory"].verdict is Verdict.WARNING


class TestWork:
    def test_a_backlog_that_nobody_takes_is_an_error(
        self, database: Database, settings: Settings
    ) -> None:
        add_beat(database)
        add_worker(database)
        assert found(settings)["Work"].verdict is Verdict.OK
        add_task(database, add_flow(database), run_at=now(database) - timedelta(hours=1))

        assert found(settings)["Work"].verdict is Verdict.ERROR

    def test_a_worker_that_fell_silent_and_is_not_marked_is_seen(
        self, database: Database, settings: Settings
    ) -> None:
        lease = timedelta(seconds=settings.lease_seconds)
        add_worker(database, "gone", silent_for=lease * 3)
        check = found(settings)["Silent worker"]
        assert check.verdict is Verdict.WARNING
        assert "gone" in check.found

    @pytest.mark.parametrize(
        ("size", "tasks", "for_ever", "verdict"),
        [
            (GB, 99_999, True, Verdict.OK),
            (GB, 100_000, True, Verdict.WARNING),
            (2 * GB, 0, True, Verdict.WARNING),
            (9 * GB, 9_000_000, False, Verdict.OK),
        ],
    )
    def test_a_large_history_that_is_kept_for_ever_is_hinted_at(
        self, *, size: int, tasks: int, for_ever: bool, verdict: Verdict
    ) -> None:
        check = size_check(size, tasks, is_kept_for_ever=for_ever)
        assert check.verdict is verdict
        assert bool(check.fix) is (verdict is Verdict.WARNING)


class TestSchema:
    def test_an_outdated_one_is_an_error_and_stops_no_other_check(
        self, database: Database, settings: Settings
    ) -> None:
        with database.transaction() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))

        checks = found(settings)

        assert checks["Schema"].verdict is Verdict.ERROR
        assert checks["Redis"].verdict is Verdict.OK
        assert checks["Database"].verdict is Verdict.OK


@pytest.fixture
def source(database: Database, settings: Settings) -> Source:
    add_flow(database)
    [found] = SourceManager(database, settings).list()
    return found


class TestSources:
    @pytest.mark.parametrize(
        ("version", "cves"),
        [
            ("1.2.9", [each.cve for each in ADVISORIES]),
            ("1.6.9", ["CVE-2025-34291", "CVE-2025-68477", "CVE-2026-33017", "CVE-2026-13448"]),
            ("1.10.1", ["CVE-2026-13448"]),
            ("1.10.2", []),
            ("1.10.2.dev3", ["CVE-2026-13448"]),
            ("1.13.0", []),
            (None, []),
            ("nightly", []),
        ],
    )
    def test_known_holes_of_a_version_are_named(self, version: str | None, cves: list[str]) -> None:
        assert [each.cve for each in advisories_for(version)] == cves

    def test_each_hole_is_closed_by_the_version_that_is_advised(self) -> None:
        assert not advisories_for(safe_version(ADVISORIES))
        for each in ADVISORIES:
            assert each not in advisories_for(each.fixed_in)

    def test_an_old_server_is_warned_of_with_the_version_to_take(self, source: Source) -> None:
        [check] = source_warnings(SourceCheck(source=source, version="1.8.0"))
        assert check.verdict is Verdict.WARNING
        assert "CVE-2026-33017" in check.found
        assert "1.10.2" in (check.fix or "")

    def test_one_that_answers_although_it_was_found_down_is_told(self, source: Source) -> None:
        down = replace(source, breaker=Breaker.OPEN, breaker_reason="refused")
        [check] = source_warnings(SourceCheck(source=down, version="1.13.0"))
        assert "refused" in check.found
        assert not list(source_warnings(SourceCheck(source=source, version="1.13.0")))


def test_a_home_in_a_place_that_is_not_there_is_measured_above_it(
    settings: Settings, tmp_path: Path
) -> None:
    away = settings.model_copy(update={"home": tmp_path / "a" / "b"})
    assert found(away)["Disk"].verdict is not Verdict.ERROR
