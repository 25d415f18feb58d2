"""Breaks everything for minutes and proves that nothing was lost or doubled.

    uv run python -m tests.system.chaos --minutes 20 --seed 7 [--report FILE]

Prints each fault as it happens, then the report. Exits with 1 when a promise was broken, and then
keeps the logs.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.system.chaos.harness import Scenario, run


def main() -> int:
    arguments = _parser().parse_args()
    scenario = Scenario(
        seed=arguments.seed,
        seconds=arguments.minutes * 60,
        beats=arguments.beats,
        workers=arguments.workers,
        pace=arguments.pace,
        longest=arguments.longest,
    )
    home = Path(tempfile.mkdtemp(prefix="automagik-chaos-"))
    # The servers' account must be able to enter it.
    home.chmod(0o711)
    report = run(scenario, home, say=_say)
    _say(f"\n{report}")
    if arguments.report:
        arguments.report.write_text(f"{report}\n")
    if report.is_good and not arguments.keep:
        shutil.rmtree(home)
    else:
        _say(f"\nThe logs are in {home}")
    return 0 if report.is_good else 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.system.chaos")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--beats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--pace", type=float, default=6.0, help="seconds between two faults")
    parser.add_argument("--longest", type=float, default=12.0, help="seconds of a fault")
    parser.add_argument("--report", type=Path, help="file for the report, in Markdown")
    parser.add_argument("--keep", action="store_true", help="keep the logs in any case")
    return parser


if __name__ == "__main__":
    sys.exit(main())
