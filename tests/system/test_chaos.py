"""Everything breaks, in an order that a seed decides, and no promise is broken.

AUTOMAGIK_CHAOS_SEED repeats a run. For minutes of it: `python -m tests.system.chaos --help`.
"""

import os
import sys
from pathlib import Path

import pytest

from tests.system.chaos.harness import Scenario, run
from tests.system.chaos.plan import Kind

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

SEED = int(os.environ.get("AUTOMAGIK_CHAOS_SEED", "7"))


def test_nothing_is_lost_and_nothing_doubled_whatever_breaks(
    embedded_home: Path, *, full_size: bool
) -> None:
    """About twenty faults in forty seconds, of every kind, while schedules and people go on."""
    scenario = Scenario(seed=SEED, seconds=480 if full_size else 42)
    report = run(scenario, embedded_home, say=_say)
    _say(str(report))
    assert list(report.violations) == []
    assert report.missed == []
    assert report.faults.keys() == set(Kind)
    assert report.tasks.total() > 200
    assert report.tasks["completed"] > 100


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
