"""The kinds of things that commands print as JSON, and by which commands.

The keys come from the values themselves; what a report adds to a value is said here.
`tests/cli/test_every_command.py` holds the answers of the commands against it.
"""

from collections.abc import Sequence
from typing import Any

from docs.json_schedules import SCHEDULES
from docs.json_schema import Told
from docs.json_servers import HELP, SERVERS
from docs.json_sources import FLOWS
from docs.json_tasks import TASKS
from docs.json_thing import Thing

THINGS: Sequence[Thing] = (*TASKS, *SCHEDULES, *FLOWS, *SERVERS, *HELP)

LIST = Thing(
    name="list",
    about="Many things: what every command that lists prints with `-o json`.",
    keys={
        "items": Told(list[dict[str, Any]], "Each as its own schema says."),
        "next": Told(str | None, "What --cursor takes to get those that follow."),
    },
)
PROBLEM = Thing(
    name="problem",
    about="An error, on stderr (RFC 9457).",
    keys={
        "type": str,
        "title": str,
        "status": int,
        "detail": str,
        "code": str,
        "hint": str | None,
    },
)
EVERYTHING: Sequence[Thing] = (LIST, PROBLEM, *THINGS)
