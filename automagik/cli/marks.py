"""States at a glance: a glyph for everybody, a colour for most."""

from typing import Any

from automagik.cli.printer import Column

_MARKS = {
    "pending": ("◌", ""),
    "queued": ("◌", "cyan"),
    "running": ("●", "blue"),
    "waiting": ("↻", "yellow"),
    "paused": ("⏸", "yellow"),
    "completed": ("✓", "green"),
    "failed": ("✗", "red"),
    "cancelled": ("⊘", "dim"),
    "skipped": ("○", "dim"),
    "active": ("●", "green"),
    "error": ("✗", "red"),
    "online": ("●", "green"),
    "draining": ("●", "yellow"),
    "stopped": ("○", "dim"),
    "lost": ("✗", "red"),
}


def marked(state: Any) -> str:
    """`✓ completed`."""
    glyph, _ = _MARKS.get(str(state), ("·", ""))
    return f"{glyph} {state}"


def colour(state: Any) -> str:
    """The style of rich for a state."""
    return _MARKS.get(str(state), ("", ""))[1]


def state_column(key: str, title: str = "") -> Column:
    return Column(key, title, format=marked, style=colour)
