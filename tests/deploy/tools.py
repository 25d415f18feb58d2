"""Checkers that come from PyPI, each in an environment of its own."""

import shutil
import subprocess
from pathlib import Path

import pytest

SECONDS = 100


def run_tool(*words: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """`uv tool run` of these words. Skips where there is no uv."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not on the PATH, so the checker cannot be had")
    return subprocess.run(
        [uv, "tool", "run", "--quiet", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
