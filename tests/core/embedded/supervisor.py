"""A small `up` for tests: runs a stack with one child and prints every fact as a line of JSON.

    supervisor.py HOME [PROGRAM ARGUMENT...]

It is run as a process of its own, so that it can be killed.
"""

import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

from automagik.core.config import Settings
from automagik.core.embedded.facts import Fact
from automagik.core.embedded.processes import ChildProcess
from automagik.core.embedded.stack import Stack
from automagik.core.exceptions import AutomagikError


def main(home: Path, argv: list[str]) -> None:
    signal.signal(signal.SIGTERM, interrupt)
    with Stack(Settings(home=home), tell=tell) as stack:
        child = ChildProcess("child", argv, log_path=home / "logs" / "child.log")
        stack.processes.start(child, url="http://demo")
        say(fact="Up", database_url=stack.database_url, redis_url=stack.redis_url)
        signal.pause()


def interrupt(number: int, frame: object) -> NoReturn:
    raise SystemExit(0)


def tell(fact: Fact) -> None:
    say(fact=type(fact).__name__, **asdict(fact))


def say(**what: object) -> None:
    sys.stdout.write(json.dumps(what, default=str) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2:])
    except AutomagikError as error:
        say(fact="Error", code=error.code, message=error.message, hint=error.hint)
        sys.exit(error.exit_code)
