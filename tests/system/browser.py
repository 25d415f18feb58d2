"""Pages as a browser shows them: what the scripts have made of them, and a picture.

Chromium by itself opens a page, lets its scripts run and tells the result. That needs no driver.
"""

import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest

_QUIET = (
    *("--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
)
_SCRIPTS_MILLISECONDS = 3_000
"""Of the page's own clock, which jumps whenever the page only waits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    dom: str
    picture: Path

    @property
    def rows(self) -> list[list[str]]:
        """The cells of all rows with data, of all tables."""
        return [row for row in _cells("td", self.dom) if row]

    @property
    def headers(self) -> list[list[str]]:
        return [row for row in _cells("th", self.dom) if row]

    @property
    def size(self) -> tuple[int, int]:
        """Of the picture, in pixels."""
        head = self.picture.read_bytes()[:24]
        assert head.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", head[16:])
        return width, height


def chromium() -> str:
    """The program, or the test is skipped."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium here; on Debian: apt-get install chromium")
    return found


def page(url: str, *, folder: Path, name: str, size: tuple[int, int]) -> Page:
    picture = folder / f"{name}.png"
    # Its own sandbox refuses to work for root, and in containers.
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
    shown = subprocess.run(
        [
            *(chromium(), *_QUIET, *sandbox),
            *(f"--user-data-dir={folder / name}", f"--window-size={size[0]},{size[1]}"),
            *(f"--virtual-time-budget={_SCRIPTS_MILLISECONDS}", f"--screenshot={picture}"),
            *("--dump-dom", url),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return Page(dom=shown.stdout, picture=picture)


def _cells(kind: str, dom: str) -> list[list[str]]:
    reader = _Cells(kind)
    reader.feed(dom)
    return reader.rows


class _Cells(HTMLParser):
    """Their texts, row by row."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._kind = kind
        self._is_inside = False

    def handle_starttag(self, tag: str, _: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag == self._kind:
            self.rows[-1].append("")
            self._is_inside = True

    def handle_endtag(self, tag: str) -> None:
        if tag == self._kind:
            self._is_inside = False

    def handle_data(self, data: str) -> None:
        if self._is_inside:
            self.rows[-1][-1] = f"{self.rows[-1][-1]} {data}".strip()
