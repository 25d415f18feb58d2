"""What an embedded stack remembers between runs: passwords, ports and, while it runs, its URLs."""

import json
import os
from pathlib import Path
from typing import Any

from automagik.core.config import STATE_FILE


class StateFile:
    """`state.json` of a home, for its owner only. Whoever writes holds the lock of the home."""

    def __init__(self, home: Path) -> None:
        self.path = home / STATE_FILE

    def read(self) -> dict[str, Any]:
        """Empty when the file is missing or damaged; the servers then get new passwords."""
        try:
            state = json.loads(self.path.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def update(self, **values: Any) -> None:
        self._write(self.read() | values)

    def remove(self, *names: str) -> None:
        state = self.read()
        if state.keys() & set(names):
            self._write({name: value for name, value in state.items() if name not in names})

    def _write(self, state: dict[str, Any]) -> None:
        write_private(self.path, json.dumps(state, indent=1))


def write_private(path: Path, text: str) -> None:
    """Replaces the file in one step; it never exists with more than mode 0600."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
