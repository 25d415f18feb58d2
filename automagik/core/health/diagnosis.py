"""Every check, one after the other; what one of them stumbles over stops no other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from automagik.core.config import Settings
from automagik.core.exceptions import AutomagikError, ConfigurationError
from automagik.core.health.check import Check, CheckGroup, Verdict, error
from automagik.core.health.history import check_work
from automagik.core.health.host import check_disk, check_python
from automagik.core.health.private_files import check_files
from automagik.core.health.processes import check_processes
from automagik.core.health.servers import check_database, check_redis
from automagik.core.health.settings import check_settings, problem_checks
from automagik.core.health.sources import check_encryption, check_sources
from automagik.core.health.time_zones import check_time_zones
from automagik.core.settings.exceptions import InvalidSettings
from automagik.core.settings.origins import SettingOrigin, origins

GROUPS: Sequence[tuple[str, CheckGroup]] = (
    ("Python", check_python),
    ("Settings", check_settings),
    ("Files", check_files),
    ("Time zones", check_time_zones),
    ("Disk", check_disk),
    ("Database", check_database),
    ("Redis", check_redis),
    ("Processes", check_processes),
    ("Work", check_work),
    ("Encryption", check_encryption),
    ("Sources", check_sources),
)
"""The name stands for the group when it cannot even begin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """All that was looked at."""

    checks: Sequence[Check]
    settings: Sequence[SettingOrigin]
    """Empty when the settings cannot be read."""

    @property
    def is_well(self) -> bool:
        return all(check.verdict is not Verdict.ERROR for check in self.checks)


def diagnose(read_settings: Callable[[], Settings]) -> Diagnosis:
    """Raises nothing for what is out of order: that is a check of its own."""
    try:
        settings = read_settings()
    except InvalidSettings as wrong:
        return Diagnosis(checks=list(problem_checks(wrong.problems)), settings=[])
    except ConfigurationError as wrong:
        failed = error("Settings", wrong.message, fix=wrong.hint or "Correct the variables.")
        return Diagnosis(checks=[failed], settings=[])
    checks = [check for name, group in GROUPS for check in _guarded(name, group, settings)]
    return Diagnosis(checks=checks, settings=origins(settings))


def _guarded(name: str, group: CheckGroup, settings: Settings) -> Iterator[Check]:
    try:
        yield from group(settings)
    except AutomagikError as wrong:
        yield error(name, wrong.message, fix=wrong.hint)
    except (OSError, SQLAlchemyError) as wrong:
        yield error(name, f"{type(wrong).__name__}: {wrong}".splitlines()[0], fix=None)
