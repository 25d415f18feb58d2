"""What `automagik up` says: each part as it is ready, then what happens to tasks, line by line."""

import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from automagik import __version__
from automagik.cli.marks import colour, marked
from automagik.cli.printer import visible
from automagik.cli.times import duration
from automagik.core.embedded.facts import (
    Died,
    Fact,
    Given,
    Ready,
    Restarted,
    Stopped,
    Stopping,
)
from automagik.core.tasks.activity import Happening
from automagik.core.tasks.states import TaskState

_LABELS = {"postgres": "PostgreSQL", "redis": "Redis", "flower": "Flower"}
_DEMO_HINT = """\
In another terminal:
  automagik flows run Echo --input "Good morning" --wait
  automagik schedules create Echo --every 5m
  automagik tasks list\
"""
_HINT = """\
In another terminal:
  automagik sources add NAME URL      # a LangFlow server
  automagik flows sync
  automagik schedules create FLOW --every 5m\
"""


class Narrator:
    """Everything it says goes to stdout, one line each, so that it can be piped to a file."""

    def __init__(self) -> None:
        on_terminal = sys.stdout.isatty()
        self._console = Console(
            highlight=False, soft_wrap=True, width=None if on_terminal else 10_000
        )

    def begin(self, home: Path) -> None:
        self._line(Text.assemble(("AutoMagik ", "bold"), __version__, f"  ·  data in {home}"))

    def all_is_ready(self, *, demo: bool) -> None:
        self._line(Text.assemble(("Ready. ", "bold green"), "Ctrl-C stops everything."))
        self._line(Text(_DEMO_HINT if demo else _HINT, style="dim"))

    def tell(self, fact: Fact) -> None:
        match fact:
            case Given():
                self._part("•", fact.name, f"given   {fact.url}", style="cyan")
            case Ready():
                took = f"ready {fact.seconds:5.1f} s"
                self._part("✓", fact.name, f"{took}   {fact.url or ''}", style="green")
            case Died():
                again = (
                    "giving up" if fact.restart_in is None else f"again in {fact.restart_in:g} s"
                )
                self._part("✗", fact.name, f"{fact.how}; {again}", style="red")
                self._line(Text(visible(fact.log_tail), style="dim"))
            case Restarted():
                self._part("↻", fact.name, f"started again ({fact.times})", style="yellow")
            case Stopping():
                pass
            case Stopped():
                self._part("○", fact.name, f"stopped {fact.seconds:5.1f} s", style="dim")

    def happened(self, happening: Happening) -> None:
        word = _word(happening)
        if word is None:
            return
        state = happening.to_state
        who = happening.schedule or "by hand"
        line = Text.assemble(
            (f"{happening.at.astimezone():%H:%M:%S}  ", "dim"),
            (f"{marked(state)[0]} {word:<9} ", colour(state)),
            f"{visible(happening.flow)} · {visible(who)}",
            (
                "".join(f"  {text}" for text in (_detail(happening), happening.task_id) if text),
                "dim",
            ),
        )
        self._line(line)

    def stopping(self) -> None:
        self._line(Text("Stopping; runs under way may finish.", style="bold"))

    def _part(self, glyph: str, name: str, rest: str, *, style: str) -> None:
        label = _LABELS.get(name, name)
        self._line(Text.assemble((f"  {glyph} ", style), f"{label:<12}", (rest.rstrip(), "dim")))

    def _line(self, text: Text) -> None:
        self._console.print(text)
        sys.stdout.flush()


def _word(happening: Happening) -> str | None:
    """None for what is only of interest to machines."""
    match happening.to_state:
        case TaskState.PENDING if happening.from_state is None:
            return "fired" if happening.schedule else "created"
        case TaskState.QUEUED:
            return None
        case TaskState.RUNNING:
            return "started"
        case TaskState.WAITING:
            return "retrying"
    return str(happening.to_state)


def _detail(happening: Happening) -> str:
    match happening.to_state:
        case TaskState.RUNNING:
            return f"attempt {happening.attempt}"
        case TaskState.COMPLETED:
            return f"{_took(happening)}  {_one_line(happening.output or '')}"
        case TaskState.FAILED:
            return f"{_took(happening)}  {_one_line(happening.error or '')}"
        case TaskState.WAITING:
            return f"{happening.reason or ''}  {_one_line(happening.error or '')}"
    return happening.reason or ""


def _took(happening: Happening) -> str:
    return duration(happening.took) if happening.took is not None else ""


def _one_line(text: str) -> str:
    return visible(" ".join(text.split()))
