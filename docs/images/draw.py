"""Draws up.svg: what `automagik up --demo` says in a terminal until three runs are done.

uv run python docs/images/draw.py
"""

import io
import os
import pty
import re
import signal
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 112
RUNS = 3
COMMAND = "$ uv run automagik up --demo"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="automagik-") as home:
        Path(home).chmod(0o711)
        said = in_terminal(home)
    lines = [line for line in said.splitlines() if line.strip()]
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text(COMMAND, style="bold"))
    for line in lines:
        text = Text.from_ansi(line.replace(home, "~/.local/share/automagik"))
        text.truncate(COLUMNS, overflow="crop")
        console.print(text)
    target = Path(__file__).with_name("up.svg")
    svg = console.export_svg(title="automagik")
    # The reader's own monospaced font will do; nothing is fetched for a picture.
    target.write_text(re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL))


def in_terminal(home: str) -> str:
    child, terminal = pty.fork()
    if child == 0:
        os.environ |= {"AUTOMAGIK_HOME": home, "COLUMNS": "200", "TERM": "xterm-256color"}
        for name in ("DATABASE_URL", "REDIS_URL"):
            os.environ.pop(name, None)
        os.execv(sys.executable, [sys.executable, "-m", "automagik", "up", "--demo"])
    said = b""
    while said.count(b"completed") < RUNS:
        said += os.read(terminal, 65_536)
    os.kill(child, signal.SIGINT)
    while True:
        try:
            rest = os.read(terminal, 65_536)
        except OSError:
            break
        if not rest:
            break
    os.waitpid(child, 0)
    return said.decode()


if __name__ == "__main__":
    main()
