"""Waiting for processes with a deadline."""

import time
from collections.abc import Callable

import psutil


def eventually(true: Callable[[], bool], *, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def survivors(processes: list[psutil.Process], *, seconds: float) -> list[psutil.Process]:
    """Those that still live when all are dead or the time is over."""
    eventually(lambda: not alive(processes), seconds=seconds)
    return alive(processes)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Without zombies, which only wait for whoever inherited them."""
    return [p for p in processes if p.is_running() and not _is_zombie(p)]


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
