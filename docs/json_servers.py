"""What goes on beside the work, as commands print it."""

from typing import Literal

from automagik.cli.command_tree import CommandHelp
from automagik.cli.error_guide import ErrorHelp
from automagik.cli.settings_guide import SettingHelp
from automagik.core.health.diagnosis import Diagnosis
from automagik.core.health.repair import Repair
from automagik.core.health.status import Health
from automagik.core.queues import Queue
from automagik.core.scheduler.retention import Forecast
from automagik.core.settings.origins import SettingOrigin
from automagik.core.tasks.verify import Violation
from automagik.core.tasks.workers import Worker
from docs.json_schema import Told, keys_of
from docs.json_thing import Thing

SERVERS = (
    Thing(
        name="queue",
        about="A queue with what waits in it.",
        keys=keys_of(Queue),
        listed_by=("queues list",),
        told_by=("queues show",),
    ),
    Thing(
        name="worker",
        about="A process that runs tasks.",
        keys={
            **keys_of(Worker),
            "state": Told(str, "As it is known: online, draining, stopped or lost."),
        },
        listed_by=("workers list",),
        told_by=("workers show",),
    ),
    Thing(
        name="status",
        about="Whether all is well.",
        keys={"is_well": bool, **keys_of(Health)},
        told_by=("status",),
    ),
    Thing(
        name="diagnosis",
        about="Every check of the doctor.",
        keys={
            "is_well": bool,
            **keys_of(Diagnosis),
            "repairs": Told(list[Repair], "With --fix.", is_always=False),
        },
        told_by=("doctor",),
    ),
    Thing(
        name="setting-origin",
        about="A setting and who says so.",
        keys=keys_of(SettingOrigin),
        listed_by=("config show",),
        told_by=("config get",),
    ),
    Thing(
        name="settings-file",
        about="A file that settings are read from.",
        keys={
            "file": Literal[".env", "project", "user"],
            "path": str,
            "is_read": bool,
            "note": str | None,
        },
        listed_by=("config path",),
    ),
    Thing(
        name="revision",
        about="The revision of the database.",
        keys={
            "revision": Told(str | None, "None: it has no tables of ours."),
            "head": Told(str, "The newest that is known."),
            "is_current": bool,
        },
        told_by=("db current",),
    ),
    Thing(
        name="verification",
        about="Every promise that was broken.",
        keys={
            "items": [Violation],
            "checked": {"rules": int, "tasks": int, "attempts": int, "occurrences": int},
            "notes": Told(list[str], "What was not looked at, and what is odd but harmless."),
        },
        told_by=("db verify",),
    ),
    Thing(
        name="violation",
        about="A broken promise: a line of a verification.",
        keys=keys_of(Violation),
        listed_by=("db verify",),
    ),
    Thing(
        name="pruning",
        about="What is older than its age.",
        keys={
            **keys_of(Forecast),
            "deleted": Told(int, "How many tasks went; not with --dry-run.", is_always=False),
        },
        listed_by=("db prune",),
    ),
)

HELP = (
    Thing(
        name="command-help",
        about="A command with all below it.",
        keys=keys_of(CommandHelp),
        told_by=("help",),
    ),
    Thing(
        name="error-help",
        about="What an error code means.",
        keys=keys_of(ErrorHelp),
        listed_by=("help",),
        told_by=("help",),
    ),
    Thing(
        name="setting-help",
        about="What a setting means.",
        keys=keys_of(SettingHelp),
        listed_by=("help",),
    ),
    Thing(
        name="topic",
        about="A topic of the help.",
        keys={"topic": str, "text": str},
        told_by=("help",),
    ),
)
