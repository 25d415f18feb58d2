"""A child process with a log, stopped in steps, that does not outlive this process."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from automagik.core.embedded.accounts import Account
from automagik.core.embedded.exceptions import ChildDied, EmbeddedError
from automagik.core.embedded.lifeline import LastWill, die_with_parent

StopSignals = Sequence[tuple[signal.Signals, float]]
"""Signals with the seconds that each is given; whatever is left after the last is killed."""

LOG_LIMIT_BYTES = 10 * 1024 * 1024
_POLL_SECONDS = 0.02


class ChildProcess:
    """One process in a session of its own: the terminal's Ctrl-C reaches only this process.

    Args:
        name: what the child is called in facts, messages and the name of its log.
        argv: the program and its arguments; never a secret, everybody can read them.
        log_path: gets standard output and error, appended; one older log is kept.
        env: the whole environment; None hands on that of this process.
        stop_signals: how `stop` asks, before it kills.
        death_signal: what the child gets when this process dies without stopping it; SIGKILL is
            for its own children, too.
        account: the user to run as; None is the user of this process.
        cwd: the working directory.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        stop_signals: StopSignals = ((signal.SIGTERM, 10.0),),
        death_signal: signal.Signals = signal.SIGKILL,
        account: Account | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.argv = tuple(str(word) for word in argv)
        self.log_path = log_path
        self._env = env
        self._stop_signals = stop_signals
        self._death_signal = death_signal
        self._account = account
        self._cwd = cwd
        self._log_start = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._will: LastWill | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Starts it, again if it has ended. Raises EmbeddedError when the program cannot run."""
        if self._process is not None and self.poll() is None:
            return
        log = self._open_log()
        try:
            self._process = subprocess.Popen(
                self.argv,
                env=self._env,
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self._account.uid if self._account else None,
                group=self._account.gid if self._account else None,
                extra_groups=[] if self._account else None,
                preexec_fn=die_with_parent(self._death_signal),  # noqa: PLW1509  # no locks in it
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedError(f"{self.name} cannot be started: {error}") from error
        finally:
            os.close(log)
        self._will = LastWill(self._process.pid, self._death_signal)

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs and before it was started."""
        code = self._process.poll() if self._process else None
        if code is not None:
            self._clear_away()
        return code

    def wait(self) -> int | None:
        """Waits until it ends by itself; returns the exit code."""
        if self._process:
            self._process.wait()
        return self.poll()

    def wait_until(self, ready: Callable[[], bool], *, seconds: float) -> None:
        """Asks again and again. Raises ChildDied when it ends first, EmbeddedError when late."""
        end = time.monotonic() + seconds
        while not ready():
            if (code := self.poll()) is not None:
                raise ChildDied(f"{self.name} {in_words(code)}:\n{self.tail()}", hint=self._hint())
            if time.monotonic() > end:
                raise EmbeddedError(
                    f"{self.name} was not ready within {seconds:g} s:\n{self.tail()}",
                    hint=self._hint(),
                )
            time.sleep(_POLL_SECONDS)

    def stop(self) -> int | None:
        """Ends it and what it started; returns the exit code.

        Ctrl-C during the wait moves on to the next, harsher signal.
        """
        for number, seconds in self._stop_signals:
            if self._ends_after(number, seconds=seconds):
                break
        else:
            self._kill_group()
        return self.wait()

    def tail(self, lines: int = 20) -> str:
        """The last lines of its log since its last start."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(self._log_start, log.seek(0, os.SEEK_END) - 256 * lines))
                text = log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _open_log(self) -> int:
        path = self.log_path
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
            path.replace(path.with_suffix(".old.log"))
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._log_start = os.fstat(log).st_size
        return log

    def _ends_after(self, number: signal.Signals, *, seconds: float) -> bool:
        if self._process is None or self._process.poll() is not None:
            return True
        try:
            self._process.send_signal(number)
            self._process.wait(seconds)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            return False
        return True

    def _clear_away(self) -> None:
        """Ends what an ended child left, once: later its id may be that of somebody else."""
        if self._will:
            self._kill_group()
            self._will.revoke()
            self._will = None

    def _kill_group(self) -> None:
        # macOS says "not permitted" for a group whose only member is a zombie.
        if self._process is not None and self._will is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _hint(self) -> str:
        return f"The whole log: {self.log_path}"


def in_words(exit_code: int) -> str:
    """How a process ended, as a predicate: "was killed by SIGKILL", "stopped with exit code 1"."""
    if exit_code < 0:
        return f"was killed by {signal.Signals(-exit_code).name}"
    return f"stopped with exit code {exit_code}"
