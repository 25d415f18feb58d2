"""Copies of carried programs, for an account that may not read where they are installed."""

import shutil
import stat
from pathlib import Path

from automagik.core.embedded.accounts import Account
from automagik.core.embedded.binaries import ServerProgram
from automagik.core.embedded.exceptions import EmbeddedError

_UNNEEDED = shutil.ignore_patterns("include", "__pycache__", "*.a")


def runnable_program(program: ServerProgram, home: Path, *, account: Account | None) -> Path:
    """A path under which the account can run the program, in a copy below the home if need be.

    A virtual environment of root is often in a folder that nobody else may enter.
    """
    if account is None or account.can_run(program.path, "--version"):
        return program.path
    if program.carrier is None:
        raise EmbeddedError(f"The user {account.name} may not run {program.path}.")
    copy = _copy(program.carrier, home / "programs", key=_key(program.path))
    path = copy / program.path.relative_to(program.carrier)
    if not account.can_run(path, "--version"):
        raise EmbeddedError(f"The user {account.name} cannot run {path}.")
    return path


def _copy(carrier: Path, programs: Path, *, key: str) -> Path:
    """The carrier and its sibling of shared libraries, which the programs find by relative path."""
    place = programs / f"{carrier.name}-{key}"
    if place.exists():
        return place / carrier.name
    for old in programs.glob(f"{carrier.name}-*"):
        shutil.rmtree(old)
    unfinished = programs / f"{carrier.name}-new"
    try:
        for folder in (carrier, carrier.with_name(carrier.name + ".libs")):
            if folder.exists():
                target = unfinished / folder.name
                shutil.copytree(folder, target, symlinks=True, ignore=_UNNEEDED)
    except (OSError, shutil.Error) as error:
        raise EmbeddedError(f"{carrier} cannot be copied to {programs}: {error}") from error
    _open_to_others(programs, unfinished, *unfinished.rglob("*"))
    unfinished.rename(place)
    return place / carrier.name


def _open_to_others(*paths: Path) -> None:
    """Readable, and executable where they are for us: a strict umask may have closed them."""
    for path in paths:
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | 0o444 | (0o111 if mode & stat.S_IXUSR else 0))


def _key(path: Path) -> str:
    facts = path.stat()
    return f"{facts.st_size}-{facts.st_mtime_ns}"
