"""The previous version of AutoMagik, out of the history of this repository."""

import io
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from automagik.core.embedded.processes import ChildProcess

REVISION, ITS_SCHEMA = "f642448", "0001"
ROOT = Path(__file__).resolve().parents[2]
CODE = ("automagik", "workers", "migrations", "celeryconfig.py")


class Previous:
    """Runs programs of that version, in the environment as it is when they start."""

    def __init__(self, code: Path, logs: Path) -> None:
        self._code = code
        self._logs = logs
        self._children: list[ChildProcess] = []

    def automagik(self, *words: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "automagik", *words],
            cwd=self._code,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def start(self, *words: str) -> ChildProcess:
        name = f"previous-{words[0]}"
        child = ChildProcess(
            name,
            [sys.executable, "-m", "celery", "-A", "automagik", *words, "--loglevel", "INFO"],
            log_path=self._logs / f"{name}.log",
            env=os.environ,
            # Nothing is drained at the end of a test.
            stop_signals=((signal.SIGKILL, 5.0),),
            cwd=self._code,
        )
        self._children.append(child)
        child.start()
        return child

    def stop(self) -> None:
        for child in self._children:
            child.stop()


def unpack(folder: Path) -> Path:
    """Its code in a folder. Skips the test where the history is not there."""
    try:
        archived = subprocess.run(
            ["git", "archive", REVISION, *CODE], cwd=ROOT, capture_output=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("git is not installed, and the previous version is in the history")
    if archived.returncode:
        pytest.skip(f"the previous version, {REVISION}, is not in this checkout's history")
    with tarfile.open(fileobj=io.BytesIO(archived.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder
