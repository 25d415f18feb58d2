"""A benchmark at a tiny size, as a process of its own."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]


def benchmark(name: str, *words: str, seconds: float = 110) -> Mapping[str, Any]:
    """Its figures, by what they are; it may take so many seconds."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *words],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {figure["what"]: figure for figure in json.loads(done.stdout)["figures"]}
