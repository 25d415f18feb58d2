"""How far something has come, on stderr: a bar on a terminal, lines or nothing in a pipe."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


class Told:
    """Takes how much is done, and words. This one says nothing."""

    def __call__(self, done: int, words: str) -> None:
        pass

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Room for a question."""
        yield


class InLines(Told):
    """A line for each percent."""

    def __init__(self, say: Callable[[str], None], total: int) -> None:
        self._say = say
        self._total = max(1, total)
        self._told = -1

    def __call__(self, done: int, words: str) -> None:
        if (percent := 100 * done // self._total) > self._told:
            self._told = percent
            self._say(words)


class AsBar(Told):
    """One line that moves."""

    def __init__(self, bar: "Progress", shown: "TaskID") -> None:
        self._bar = bar
        self._shown = shown

    def __call__(self, done: int, words: str) -> None:
        from rich.markup import escape

        from automagik.cli.printer import visible

        self._bar.update(self._shown, completed=done, description=escape(visible(words)))

    @contextmanager
    def paused(self) -> Iterator[None]:
        self._bar.stop()
        try:
            yield
        finally:
            self._bar.start()


@contextmanager
def bar(console: "Console", *, total: int | None) -> Iterator[AsBar]:
    """Without a total it only shows that something goes on, and then nothing of it stays."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=total is None) as progress:
        yield AsBar(progress, progress.add_task("", total=total))
