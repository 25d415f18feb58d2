"""The only code that prints. stdout is data, stderr is talk.

On a terminal: tables with colours, times in words. In a pipe: one line per record, tab-separated,
nothing shortened. JSON is the same everywhere.
"""

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TextIO

from automagik.cli import machine, pager
from automagik.cli.progress import InLines, Told, bar
from automagik.cli.times import in_words
from automagik.core.exceptions import AutomagikError, InvalidInput

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text


_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters but tabs and line feeds, and those that turn the direction of writing."""
_NO_EDGE = 10_000
"""Characters in a line, where there is no terminal that ends it."""


class Output(StrEnum):
    """The shapes of what commands print."""

    TABLE = "table"
    WIDE = "wide"
    """A table with all its columns, however narrow the terminal is."""
    TSV = "tsv"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"
    YAML = "yaml"
    NAME = "name"


class Color(StrEnum):
    """When there is colour."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


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
    has_header: bool = True
    color: Color = Color.AUTO
    uses_pager: bool = True

    @property
    def shape(self) -> Output:
        if self.output:
            return self.output
        return Output.TABLE if sys.stdout.isatty() else Output.TSV

    @property
    def for_people(self) -> bool:
        return self.shape in (Output.TABLE, Output.WIDE)

    @property
    def speaks_json(self) -> bool:
        return self.output in (Output.JSON, Output.JSONL)

    def items(
        self,
        items: Sequence[Mapping[str, Any]],
        columns: Sequence[Column],
        *,
        empty: str,
        following: str | None = None,
    ) -> None:
        """A list. `empty` explains on stderr why there is nothing, and what to do.

        `following` is the cursor of the next page.
        """
        self._require_fields(items, columns)
        columns = self._chosen(columns)
        if not items and self.shape not in (Output.JSON, Output.JSONL, Output.YAML):
            self.say(empty)
        elif self.quiet and self.output is None and not self.fields:
            keys = [column.key for column in columns]
            self._lines(machine.listed(Output.NAME, items, keys))
        elif self.for_people:
            self._table(items, columns)
        else:
            keys = [column.key for column in columns]
            listed = machine.listed(
                self.shape, self._cut(items), keys, following=following, header=self.has_header
            )
            self._lines(listed)

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
            keys = [column.key for column in columns]
            self._lines(machine.single(self.shape, cut, keys, header=self.has_header))

    def made(self, item: Mapping[str, Any]) -> None:
        """Something new: its id alone, which the next command takes; JSON carries all of it."""
        if (self.for_people or self.shape is Output.TSV) and not self.fields:
            self.raw(f"{item['id']}\n")
        else:
            # It is there now, so a wrong --fields is no reason to fail.
            self._one(item, self._chosen([Column(key) for key in item]))

    def say(self, text: str) -> None:
        """Talk, on stderr."""
        if not self.quiet:
            sys.stderr.write(f"{visible(text)}\n")

    @contextmanager
    def progress(self, *, total: int | None, in_lines: bool = True) -> Iterator[Told]:
        """Takes how much is done, and words: a bar on stderr, in a pipe lines, or nothing.

        Without a total it only shows on a terminal that something goes on.
        """
        if self.quiet:
            yield Told()
        elif sys.stderr.isatty():
            with bar(self.console(sys.stderr), total=total) as shown:
                yield shown
        else:
            yield InLines(self.say, total) if in_lines and total is not None else Told()

    def raw(self, text: str) -> None:
        """Onto stdout, as it is; on a terminal without what would steer it."""
        sys.stdout.write(_shown(text) if sys.stdout.isatty() else text)

    def text(self, text: str) -> None:
        """Something to read, through the pager where the terminal is too short for it."""
        (pager.show_if_long if self.uses_pager else self.raw)(text)

    def picture(self, lines: Iterable[str]) -> None:
        """For a person: lines with the markup of rich."""
        console = self.console()
        for line in lines:
            console.print(line, soft_wrap=True)

    def error(self, error: AutomagikError) -> None:
        """On stderr: what went wrong, the code, and what to do."""
        if self.speaks_json:
            sys.stderr.write(f"{machine.problem(error)}\n")
            return
        console = self.console(sys.stderr)
        console.print(f"[bold red]✗[/] {_literal(error.message)}", end="")
        console.print(f"  [dim]({error.code})[/]")
        if error.hint:
            sys.stderr.write(f"  {visible(error.hint)}\n")

    def _require_fields(
        self, items: Sequence[Mapping[str, Any]], columns: Sequence[Column]
    ) -> None:
        """Raises InvalidInput for a field that nothing has; without items nobody can tell."""
        known = [key for item in items[:1] for key in item]
        known += [column.key for column in columns if column.key not in known]
        unknown = [key for key in self.fields if key not in known]
        if items and unknown:
            raise InvalidInput(
                f"There is no field {unknown[0]!r}.",
                hint=f"{_nearest(unknown[0], known)}The fields are: {', '.join(known)}.",
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
            self.raw(f"{line}\n")

    def _table(self, items: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> None:
        self._long(self.console(), self.table(items, columns))

    def table(self, items: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> "Table":
        """The widest one that the terminal has room for; what still does not fit is folded."""
        console, shown = self.console(), list(self._chosen(columns))
        table = _filled(items, shown, header=self.has_header)
        unbounded = console.options.update(max_width=_NO_EDGE)
        while console.measure(table, options=unbounded).maximum > console.width:
            dispensable = [column for column in shown if column.wide]
            if not dispensable or self.shape is Output.WIDE:
                break
            shown.remove(dispensable[-1])
            table = _filled(items, shown, header=self.has_header)
        return table

    def _facts(self, item: Mapping[str, Any], columns: Sequence[Column]) -> None:
        from rich.table import Table

        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for column in columns:
            table.add_row(column.heading, column.text(item))
        self._long(self.console(), table)

    def _long(self, console: "Console", table: "Table") -> None:
        """Through the pager where the terminal is too short for it."""
        if not (self.uses_pager and sys.stdout.isatty() and table.row_count >= console.height):
            console.print(table)
            return
        with console.capture() as captured:
            console.print(table)
        pager.show(captured.get())

    def console(self, stream: TextIO | None = None) -> "Console":
        """Rich on stdout or another stream; outside a terminal there is no edge to break at."""
        from rich.console import Console

        stream = stream or sys.stdout
        width = None if stream.isatty() else _NO_EDGE
        return Console(
            file=stream,
            width=width,
            highlight=False,
            soft_wrap=width is not None,
            no_color=self.color is Color.NEVER or None,
            force_terminal=self._is_coloured(stream),
        )

    def _is_coloured(self, stream: TextIO) -> bool | None:
        """None: as NO_COLOR, FORCE_COLOR, TERM and the stream say.

        The variables of the older convention (https://bixense.com/clicolors) count after these.
        """
        if self.color is Color.ALWAYS:
            return True
        named = any(os.environ.get(name) for name in ("NO_COLOR", "FORCE_COLOR"))
        if self.color is Color.NEVER or named:
            return None
        if os.environ.get("CLICOLOR_FORCE", "0") != "0":
            return True
        return False if os.environ.get("CLICOLOR") == "0" and stream.isatty() else None


def _filled(
    items: Sequence[Mapping[str, Any]], columns: Sequence[Column], *, header: bool
) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", show_header=header)
    for number, column in enumerate(columns):
        # What the next command takes must stay in one piece.
        in_one_piece = number == 0 or column.key == "id" or column.key.endswith("_id")
        table.add_column(column.heading.upper(), overflow="fold", no_wrap=in_one_piece)
    for item in items:
        table.add_row(*(column.text(item) for column in columns))
    return table


def _nearest(word: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1)
    return f"Did you mean {close[0]!r}? " if close else ""


def visible(text: str) -> str:
    """Without control characters: what a flow says must not steer the terminal."""
    return _STEERING.sub("�", text)


def _shown(text: str) -> str:
    return visible(text.replace("\r\n", "\n"))


def _literal(text: str) -> str:
    from rich.markup import escape

    return escape(visible(text))
