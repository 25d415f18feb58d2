"""One or more invocations of every command, on the database of `full_house`."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Invocation:
    """`$name` in the words is one of what `furnish` gives."""

    words: Sequence[str]
    exit_code: int = 0
    is_text: bool = False
    """It prints a text unless a shape is wanted."""
    has_shapes: bool = True
    """Else that text, whatever shape is wanted."""
    has_fields: bool = True
    """Whether --fields chooses keys of what -o json prints."""
    keys: dict[str, str] = field(default_factory=dict)
    """On a terminal: what is typed once a text has appeared."""
    refused: Sequence[str] = ()
    """The shapes that it does not have."""

    def __str__(self) -> str:
        return " ".join(self.words)


def _each(*lines: str, **attributes: Any) -> list[Invocation]:
    return [Invocation(words=shlex.split(each), **attributes) for each in lines]


_EXPORT = ("json", "yaml", "name", "wide", "table")
_STREAM = ("csv", "yaml")

READING = [
    *_each("status", "doctor", "doctor --fix --dry-run", exit_code=1),
    *_each("db verify", exit_code=1, has_fields=False),
    *_each("sources test 'source of greeter'", exit_code=5),
    *_each(
        "help",
        "help tasks list",
        "help error AM-SRC-KEY",
        "help schedules",
        "schedules explain every",
        "tasks why $failed",
        "tasks why $pending",
        "tasks output $completed",
        "tasks output $evil_end",
        "config get timezone",
        "flows run Echo --idempotency-key once --input hello --wait",
        is_text=True,
    ),
    *_each("help errors", "help environment", is_text=True),
    *_each(
        "completion bash",
        "completion zsh",
        "completion fish",
        "schedules export every nightly chain",
        "calendar --ics",
        "help --man",
        "metrics show",
        is_text=True,
        has_shapes=False,
    ),
    *_each(
        "sources list",
        "sources show demo",
        "sources test demo",
        "flows list",
        "flows list --source demo",
        "flows show Echo",
        "flows show Echo --advanced",
        "flows show $flow",
        "flows show '$long'",
        "schedules list",
        "schedules list --label team=ops --status active",
        "schedules show every",
        "schedules show chain",
        "schedules show nightly",
        "schedules show broken",
        "schedules show $evil",
        "schedules preview every",
        "schedules preview --cron '30 2 * * *' --timezone Europe/Berlin",
        "schedules history every",
        "schedules history every --skipped",
        "schedules backfill every --from 2026-01-01 --to 2026-01-01 --dry-run",
        "schedules pause --all --dry-run",
        "schedules resume --all --dry-run",
        "schedules delete --all --dry-run",
        "schedules trigger --all --dry-run",
        "calendars list",
        "calendars show de",
        "calendar",
        "calendar --week",
        "calendar --day 2030-12-24",
        "apply --file automagik.yaml --dry-run",
        "backfills list",
        "backfills show $b_running",
        "backfills show $b_cancelled",
        "tasks list",
        "tasks list --state failed --limit 1",
        "tasks list --state paused,queued",
        "tasks show $completed",
        "tasks show $evil_end",
        "tasks show $failed",
        "tasks show $failed_long",
        "tasks show $running",
        "tasks show $cancelled",
        "tasks logs $evil_end",
        "tasks retry --state failed --dry-run",
        "tasks cancel --state pending --dry-run",
        "failures",
        "stats",
        "queues list",
        "queues show gpu",
        "workers list",
        "workers show $worker",
        "config show",
        "config show --origin",
        "config path",
        "db current",
        "db prune --completed 1s --failed 1s --dry-run",
    ),
    *_each("tasks export", "tasks export --contents", refused=_EXPORT),
    *_each("tasks watch $completed", refused=_STREAM),
    *_each("tasks watch $failed", exit_code=1, refused=_STREAM),
]
"""They print something and change nothing."""

CHANGING = [
    *_each(
        "db init",
        "db upgrade",
        "db check",
        "config set timezone Europe/Berlin",
        "config unset timezone",
        "config use --none",
        "sources add again $url --api-key-file key.txt",
        "sources update demo --max-parallel 3",
        "sources disable demo --note night",
        "sources enable demo",
        "flows sync --source demo",
        "flows update Echo --max-parallel 2",
        "flows run Echo --input hello",
    ),
    *_each("flows run Echo --wait-timeout 0.1s", exit_code=8),
    *_each("workers check --host elsewhere", "beats check --host elsewhere", exit_code=1),
    *_each(
        "schedules create Echo --every 10m",
        "schedules update every --every 10m",
        "schedules pause every",
        "schedules resume nightly",
        "schedules trigger every",
        "schedules backfill every --from 2026-01-01 --to 2026-01-01",
        "calendars import at holidays.ics",
        "apply --file automagik.yaml",
        "queues pause automagik",
        "queues resume gpu",
        "backfills watch $b_completed",
    ),
    *_each("backfills watch $b_cancelled", exit_code=1),
    *_each("calendars delete de --yes", exit_code=6),
    *_each(
        "backfills cancel $b_running --yes",
        "tasks retry $failed",
        "tasks cancel $pending $queued",
        "tasks replay $completed",
        "tasks delete $completed --yes",
        "db prune --completed 1d --yes",
        "schedules delete every --yes",
        "flows delete Echo --yes",
        "sources delete demo --with-flows --yes",
        "db downgrade 0001 --yes",
    ),
]
"""They change something, in this order, or say nothing but how it went."""

STEERED = _each(
    "sources list",
    "flows list",
    "schedules list",
    "schedules show $evil",
    "calendars show de",
    "calendar --week",
    "backfills show $b_cancelled",
    "tasks list",
    "tasks show $failed",
    "tasks logs $evil_end",
    "tasks export --contents",
    "failures",
    "queues list",
    "workers list",
)
"""They print data that would steer a terminal."""

SCREENS = [Invocation(words=("top",), keys={"Coming": "q"})]
"""For a terminal alone."""

ELSEWHERE = {
    "automagik up": "tests/system/test_up.py",
    "automagik metrics serve": "tests/system/test_metrics.py",
}
"""They are servers, or start them."""

OFFLINE = ("help", "completion", "config", "status", "doctor", "metrics")
"""Commands, or groups of them, that need no database, or say of it what they find."""

ANY_SCHEMA = ("automagik db ", "automagik workers check", "automagik beats check")
"""Whoever upgrades uses them, and a worker of the version before stays healthy meanwhile."""

_NO_FLOW = (
    "flows show",
    "flows run",
    "flows update --queue x",
    "flows delete",
    "flows sync --source demo",
)
_NO_SOURCE = ("show", "test", "update --name x", "delete --yes", "disable", "enable")
_NO_SCHEDULE = (
    "show",
    "update --every 1h",
    "explain",
    "preview",
    "pause",
    "resume",
    "delete --yes",
    "trigger",
    "backfill --from 2026-01-01",
    "history",
    "export",
)
_NO_TASK = ("show", "why", "logs", "output", "watch", "retry", "cancel", "replay", "delete --yes")
_NO_BACKFILL = ("show", "watch", "cancel --yes")

UNKNOWN = [
    *((f"{words} nothing", 3) for words in _NO_FLOW),
    *((f"sources {words} nothing", 3) for words in _NO_SOURCE),
    *((f"schedules {words} nothing", 3) for words in _NO_SCHEDULE),
    *((f"tasks {words} 00000000-0000-0000-0000-000000000000", 3) for words in _NO_TASK),
    *((f"tasks {words} nothing", 3) for words in _NO_TASK),
    *((f"tasks {words} 01", 3) for words in _NO_TASK),
    *((f"backfills {words} nothing", 3) for words in _NO_BACKFILL),
    *((f"backfills {words} 01", 3) for words in _NO_BACKFILL),
    ("schedules create nothing --every 5m", 3),
    ("calendars show nothing", 3),
    ("calendars delete nothing --yes", 3),
    ("queues show nothing", 3),
    ("queues pause nothing", 3),
    ("queues resume nothing", 3),
    ("workers show nothing", 3),
    ("workers check nothing", 1),
    ("beats check --host nothing", 1),
    ("help error nothing", 3),
    ("help nothing", 2),
    ("nothing", 2),
    ("tasks nothing", 2),
    ("completion nothing", 2),
    ("config get nothing", 2),
    ("config set nothing 1", 2),
    ("config unset nothing", 2),
    ("config use nothing", 2),
    ("calendars import de nothing.ics", 2),
    ("apply --file nothing.yaml", 2),
    ("db upgrade nothing", 2),
    ("db downgrade nothing --yes", 2),
    ("db prune --completed nothing", 2),
    ("sources add x nothing", 2),
    ("sources update demo", 2),
    ("sources delete demo", 2),
    ("flows update Echo", 2),
    ("flows run Echo --input @nothing", 2),
    ("flows run Echo --tweak nothing", 2),
    ("schedules create Echo", 2),
    ("schedules create Echo --cron nothing", 2),
    ("schedules create Echo --every 5m --timezone Nowhere", 2),
    ("schedules update every", 2),
    ("schedules preview --every nothing", 2),
    ("schedules history every --from nothing", 2),
    ("schedules backfill every --from nothing", 2),
    ("schedules backfill every", 2),
    ("calendar --month nothing", 2),
    ("calendar --day nothing", 2),
    ("tasks list --state nothing", 2),
    ("tasks list --since nothing", 2),
    ("tasks list --limit 0", 2),
    ("tasks logs @last --level nothing", 2),
    ("tasks cancel", 2),
    ("tasks export -o yaml", 2),
    ("failures --since nothing", 2),
    ("stats --since nothing", 2),
    ("status -o nothing", 2),
    ("top", 2),
]
"""With the exit code: nothing of that name, an id of many, or something that cannot be."""
