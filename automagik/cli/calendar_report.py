"""Upcoming runs as a picture of days or of hours; in a pipe as rows."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from automagik.cli.printer import Column, Printer, visible

if TYPE_CHECKING:
    from automagik.core.scheduler.agenda import Agenda, Collision, Line

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_SHADES = ("", "green", "yellow", "bold red")
_BLOCKS = ("·", "░", "▒", "█")
_WIDTH = 10
_BAR = 24
_WORST = 5
_NAMES = 4
_THOUSAND = 1_000
_COLUMNS = [
    Column("date"),
    Column("time"),
    Column("schedule"),
    Column("flow"),
    Column("runs"),
    Column("is_least"),
]


def show(printer: Printer, agenda: "Agenda", *, zone: ZoneInfo, today: date, is_day: bool) -> None:
    if not printer.for_people:
        items = [_item(line, zone) for line in agenda.lines]
        printer.items(items, _COLUMNS, empty="Nothing is going to start then.")
        return
    first = agenda.days[0]
    title = f"{first:%A} {first.day} {first:%B %Y}" if is_day else f"{first:%B %Y}"
    lines = _hours(agenda, zone) if is_day else _weeks(agenda, today)
    printer.picture([f"[bold]{title}[/] · {zone.key}", "", *lines, *_worst(agenda, zone)])


def _item(line: "Line", zone: ZoneInfo) -> dict[str, Any]:
    return {
        "date": f"{line.day}",
        "time": f"{line.at.astimezone(zone):%H:%M:%S}",
        "schedule": line.entry.name,
        "flow": line.entry.flow,
        "runs": line.runs,
        "is_least": line.is_least,
    }


def _weeks(agenda: "Agenda", today: date) -> Iterator[str]:
    """A row for each week, a column for each weekday; outside what was asked for it is empty."""
    counts = {day: agenda.on(day) for day in agenda.days}
    most = max((_weight(lines) for lines in counts.values()), default=0)
    yield "".join(f"{name:<{_WIDTH}}" for name in _WEEKDAYS).rstrip()
    monday = agenda.days[0] - timedelta(days=agenda.days[0].weekday())
    while monday <= agenda.days[-1]:
        week = [monday + timedelta(days=each) for each in range(7)]
        yield "".join(_cell(day, counts.get(day), most=most, is_today=day == today) for day in week)
        monday += timedelta(days=7)


def _cell(day: date, lines: "Sequence[Line] | None", *, most: int, is_today: bool) -> str:
    if lines is None:
        return " " * _WIDTH
    runs = _runs(lines)
    number = f"{'≥' if any(line.is_least for line in lines) else ''}{_short(runs)}"
    shade = _shade(_weight(lines), most)
    text = f"{_BLOCKS[shade]} {number if runs else ''}"
    style = _SHADES[shade] or "dim"
    marked = f"[reverse]{day.day:>2}[/]" if is_today else f"{day.day:>2}"
    return f"{marked} [{style}]{text:<{_WIDTH - 3}}[/]"


def _hours(agenda: "Agenda", zone: ZoneInfo) -> Iterator[str]:
    often = [line for line in agenda.lines if line.is_often]
    single = [line for line in agenda.lines if not line.is_often]
    by_hour: list[list[Line]] = [[] for _ in range(24)]
    for line in single:
        by_hour[line.at.astimezone(zone).hour].append(line)
    most = max(map(len, by_hour))
    for hour, lines in enumerate(by_hour):
        bar = "█" * -(-len(lines) * _BAR // most) if most else ""
        yield f"{hour:02}:00 {bar:<{_BAR}} {len(lines) or '':>3} {_names(lines)}".rstrip()
    if often:
        yield ""
    for line in often:
        number = f"{'at least ' if line.is_least else ''}{line.runs}"
        yield f"all day {_literal(line.entry.name)}: {number} runs"


def _worst(agenda: "Agenda", zone: ZoneInfo) -> Iterator[str]:
    yield ""
    if not agenda.collisions:
        yield "[dim]No two start in the same minute.[/]"
        return
    count = len(agenda.collisions)
    yield f"[bold]{count} {'collision' if count == 1 else 'collisions'}[/]"
    for each in agenda.collisions[:_WORST]:
        yield _collision(each, zone)


def _collision(each: "Collision", zone: ZoneInfo) -> str:
    local = each.at.astimezone(zone)
    crowded = "".join(f" · more than {source} takes at a time" for source in each.crowded)
    return (
        f"  {local:%a} {local.day:>2} {local:%b %H:%M}  {len(each.schedules)} start:"
        f" {_listed(each.schedules)}{_literal(crowded)}"
    )


def _names(lines: "Sequence[Line]") -> str:
    return _listed(sorted({line.entry.name for line in lines}))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return _literal(", ".join(names[:_NAMES])) + more


def _runs(lines: "Sequence[Line]") -> int:
    return sum(line.runs for line in lines)


def _weight(lines: "Sequence[Line]") -> int:
    """What starts often does so every day, and would drown all others."""
    return sum(not line.is_often for line in lines)


def _shade(runs: int, most: int) -> int:
    """0 for nothing, then a third each of the most."""
    return -(-runs * 3 // most) if runs else 0


def _short(number: int) -> str:
    return f"{number}" if number < 10 * _THOUSAND else f"{number // _THOUSAND}k"


def _literal(text: str) -> str:
    from rich.markup import escape

    return escape(visible(text))
