"""The only code that prints. stdout is data, stderr is talk.

On a terminal: tables with colours, times in words. In a pipe: one line per record, tab-separated,
nothing shortened. JSON is the same everywhere.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from automagik.cli import machine
from automagik.cli.times import in_words
from automagik.core.exceptions import AutomagikError, InvalidInput

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table
    from rich.text import Text


_NO_EDGE = 10_000
"""Characters in a line, where there is no terminal that ends it."""


class Output(StrEnum):
    """The shapes of what commands print."""

    TABLE = "table"
    TSV = "tsv"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a list, or one line of a single thing."""

    key: str
    title: str = ""
    """By default the key in words."""
    _: KW_ONLY
    format: Callable[[Any], str] | None = None
    """The words for a person; pipes and JSON carry the value itself."""
    style: Callable[[Any], str] | str = ""
    """A style of rich, or what finds one for a value."""
    wide: bool = False
    """Left out of a table where the terminal is too narrow; pipes and JSON always have it."""

    @property
    def heading(self) -> str:
        return self.title or self.key.replace("_", " ").capitalize()

    def words(self, item: Mapping[str, Any]) -> str:
        value = item.get(self.key)
        if value is None:
            return "-"
        return visible(self.format(value) if self.format else in_words(value))

    def text(self, item: Mapping[str, Any]) -> "Text":
        from rich.text import Text

        value = item.get(self.key)
        style = self.style if isinstance(self.style, str) else self.style(value)
        return Text(self.words(item), style="dim" if value is None else style)


@dataclass
class Printer:
    """Set up by the options that all commands share."""

    output: Output | None = None
    """None: a table on a terminal, tab-separated in a pipe."""
    fields: tuple[str, ...] = ()
    quiet: bool = False

    @property
    def shape(self) -> Output:
        if self.output:
            return self.output
        return Output.TABLE if sys.stdout.isatty() else Output.TSV

    @property
    def for_people(self) -> bool:
        return self.shape is Output.TABLE

    def items(
        self, items: Sequence[Mapping[str, Any]], columns: Sequence[Column], *, empty: str
    ) -> None:
        """A list. `empty` explains on stderr why there is nothing, and what to do."""
        self._require_fields(items, columns)
        columns = self._chosen(columns)
        if not items and self.shape not in (Output.JSON, Output.JSONL):
            self.say(empty)
        elif self.for_people:
            self._table(items, columns)
        else:
            self._lines(machine.listed(self.shape, self._cut(items), [c.key for c in columns]))

    def item(self, item: Mapping[str, Any], columns: Sequence[Column] | None = None) -> None:
        """One thing. JSON carries all of it, whatever the columns."""
        columns = columns or [Column(key) for key in item]
        self._require_fields([item], columns)
        self._one(item, self._chosen(columns))

    def _one(self, item: Mapping[str, Any], columns: Sequence[Column]) -> None:
        if self.for_people:
            self._facts(item, columns)
        else:
            [cut] = self._cut([item])
            self._lines(machine.single(self.shape, cut, [c.key for c in columns]))

    def made(self, item: Mapping[str, Any]) -> None:
        """Something new: its id alone, which the next command takes; JSON carries all of it."""
        if self.shape in (Output.TABLE, Output.TSV) and not self.fields:
            self.raw(f"{item['id']}\n")
        else:
            # It is there now, so a wrong --fields is no reason to fail.
            self._one(item, self._chosen([Column(key) for key in item]))

    def say(self, text: str) -> None:
        """Talk, on stderr."""
        if not self.quiet:
            sys.stderr.write(f"{text}\n")

    @contextmanager
    def progress(self, *, total: int) -> Iterator[Callable[[int, str], None]]:
        """Takes how much is done, and words; on stderr a bar, in a pipe a line for each percent."""
        if self.quiet:
            yield lambda _done, _words: None
        elif sys.stderr.isatty():
            with self._bar() as bar:
                shown = bar.add_task("", total=total)
                yield lambda done, words: bar.update(
                    shown, completed=done, description=_literal(words)
                )
        else:
            yield self._percents(total)

    def _bar(self) -> "Progress":
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        return Progress(*columns, console=self._console(stderr=True))

    def _percents(self, total: int) -> Callable[[int, str], None]:
        told = -1

        def tell(done: int, words: str) -> None:
            nonlocal told
            if (percent := 100 * done // max(1, total)) > told:
                told = percent
                self.say(words)

        return tell

    def raw(self, text: str) -> None:
        """Onto stdout, as it is."""
        sys.stdout.write(text)

    def picture(self, lines: Iterable[str]) -> None:
        """For a person: lines with the markup of rich."""
        console = self._console()
        for line in lines:
            console.print(line, soft_wrap=True)

    def error(self, error: AutomagikError) -> None:
        """On stderr: what went wrong, the code, and what to do."""
        if self.output in (Output.JSON, Output.JSONL):
            sys.stderr.write(f"{machine.problem(error)}\n")
            return
        self._console(stderr=True).print(f"[bold red]✗[/] {_literal(error.message)}", end="")
        self._console(stderr=True).print(f"  [dim]({error.code})[/]")
        if error.hint:
            sys.stderr.write(f"  {error.hint}\n")

    def _require_fields(
        self, items: Sequence[Mapping[str, Any]], columns: Sequence[Column]
    ) -> None:
        """Raises InvalidInput for a field that nothing has; without items nobody can tell."""
        known = [key for item in items[:1] for key in item]
        known += [column.key for column in columns if column.key not in known]
        unknown = [key for key in self.fields if key not in known]
        if items and unknown:
            raise InvalidInput(
                f"There is no field {unknown[0]!r}.", hint=f"The fields are: {', '.join(known)}."
            )

    def _chosen(self, columns: Sequence[Column]) -> Sequence[Column]:
        if not self.fields:
            return columns
        known = {column.key: column for column in columns}
        return [known.get(key, Column(key)) for key in self.fields]

    def _cut(self, items: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        if not self.fields:
            return items
        return [{key: item.get(key) for key in self.fields} for item in items]

    def _lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            sys.stdout.write(f"{line}\n")

    def _table(self, items: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> None:
        """The widest table that the terminal has room for; what still does not fit is folded."""
        console, shown = self._console(), list(columns)
        table = _filled(items, shown)
        unbounded = console.options.update(max_width=_NO_EDGE)
        while console.measure(table, options=unbounded).maximum > console.width:
            dispensable = [column for column in shown if column.wide]
            if not dispensable:
                break
            shown.remove(dispensable[-1])
            table = _filled(items, shown)
        console.print(table)

    def _facts(self, item: Mapping[str, Any], columns: Sequence[Column]) -> None:
        from rich.table import Table

        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for column in columns:
            table.add_row(column.heading, column.text(item))
        self._console().print(table)

    def _console(self, *, stderr: bool = False) -> Any:
        from rich.console import Console

        stream = sys.stderr if stderr else sys.stdout
        # Outside a terminal there is no edge to break lines at.
        width = None if stream.isatty() else _NO_EDGE
        return Console(file=stream, width=width, highlight=False, soft_wrap=width is not None)


def _filled(items: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        # What the next command takes must stay in one piece.
        in_one_piece = number == 0 or column.key == "id"
        table.add_column(column.heading.upper(), overflow="fold", no_wrap=in_one_piece)
    for item in items:
        table.add_row(*(column.text(item) for column in columns))
    return table


def visible(text: str) -> str:
    """Without control characters: what a flow says must not steer the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)


def _literal(text: str) -> str:
    from rich.markup import escape

    return escape(visible(text))
