"""What tests install once, outside of the project's own environment."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path


def cached(name: str, fill: Callable[[Path], None]) -> Path:
    """A folder of the cache, which is filled when it is missing; others wait meanwhile."""
    default = Path.home() / ".cache" / "automagik-tests"
    cache = Path(os.environ.get("AUTOMAGIK_TEST_CACHE") or default).resolve()
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / name
    done = folder / "complete"
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            fill(folder)
            done.touch()
    return folder


def call(*command: str) -> None:
    """Runs without the virtual environment that the tests run in."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    subprocess.run(command, check=True, env=environment)
