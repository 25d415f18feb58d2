"""Every command in the documents runs, in order, against the demo, as a reader types it.

A block of shell after `<!-- not run: … -->` is left out, and says why. What is expected to fail
says so behind it: `# exit 1`.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import HOME_PREFIX

pytestmark = [pytest.mark.system, pytest.mark.timeout(420)]

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if "decisions" not in path.parts),
]
TYPED = ["README.md", "docs/schedules.md", "docs/tutorial.md"]
_BLOCK = re.compile(r"(?P<before>[^\n]*)\n+```sh\n(?P<code>.*?)```", re.DOTALL)
_EXIT = re.compile(r"#.*\bexit (?P<code>\d+)")
_HEREDOC = re.compile(r"<<-?\s*'?(?P<end>\w+)'?")
_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Command:
    text: str
    exit_code: int


def commands(document: Path) -> list[Command]:
    """Those that are to be run; a here-document belongs to the line that begins it."""
    blocks = _BLOCK.finditer(document.read_text())
    run = [block["code"] for block in blocks if "<!-- not run:" not in block["before"]]
    return [command for code in run for command in _split(code)]


def _split(code: str) -> Iterator[Command]:
    lines = iter(code.splitlines())
    for line in lines:
        whole = [line]
        if opened := _HEREDOC.search(line):
            for rest in lines:
                whole.append(rest)
                if rest == opened["end"]:
                    break
        while whole[-1].endswith("\\"):
            whole.append(next(lines))
        text = "\n".join(whole).strip()
        if text and not text.startswith("#"):
            expected = _EXIT.search(line)
            yield Command(text=text, exit_code=int(expected["code"]) if expected else 0)


@pytest.fixture
def reader() -> Iterator[dict[str, str]]:
    """The environment of somebody for whom `automagik up --demo` runs in another terminal."""
    with tempfile.TemporaryDirectory(prefix=HOME_PREFIX) as folder:
        # Root's PostgreSQL is somebody else's process.
        Path(folder).chmod(0o711)
        yield from _reader_in(Path(folder))


def _reader_in(home: Path) -> Iterator[dict[str, str]]:
    servers = ("DATABASE_URL", "REDIS_URL", "LANGFLOW_API_URL", "LANGFLOW_API_KEY", "TIMEZONE")
    environment = {name: os.environ[name] for name in os.environ if name not in servers}
    environment |= {
        "AUTOMAGIK_HOME": str(home / "data"),
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    log = home / "up.log"
    with log.open("wb") as output:
        up = subprocess.Popen(
            [sys.executable, "-m", "automagik", "up", "--demo"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 90
        while "Ready." not in log.read_text():
            assert up.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        # Its runs would be the newest every ten seconds, and @last another task than the reader's.
        pause = [sys.executable, "-m", "automagik", "schedules", "pause", "demo-echo"]
        subprocess.run(pause, env=environment, check=True, capture_output=True)
        yield environment
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(60)


@pytest.mark.parametrize("document", TYPED)
def test_every_command_of_a_document_runs(
    document: str, reader: dict[str, str], tmp_path: Path
) -> None:
    for command in commands(ROOT / document):
        ended = subprocess.run(
            ["bash", "-c", command.text],
            cwd=tmp_path,
            env=reader,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        said = f"{command.text}\n{ended.stdout}{ended.stderr}"
        assert ended.returncode == command.exit_code, said
        assert "Traceback" not in ended.stderr, said


def test_no_other_document_has_commands() -> None:
    counts = {str(path.relative_to(ROOT)): len(commands(path)) for path in DOCUMENTS}

    assert [name for name, count in counts.items() if count] == TYPED
    assert min(counts[name] for name in TYPED) > 20
