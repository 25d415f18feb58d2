"""Empties the source code that LangFlow keeps in every node: `python blank_code.py FILE...`.

Rewrites JSON files in place and drops the free notes of recordings.
"""

import json
import sys
from pathlib import Path
from typing import Any


def main(files: list[str]) -> None:
    for name in files:
        file = Path(name)
        content = json.loads(file.read_text(encoding="utf-8"))
        if "request" in content:
            content.pop("note", None)
        _blank(content)
        text = json.dumps(content, indent=1, ensure_ascii=False)
        file.write_text(f"{text}\n", encoding="utf-8")


def _blank(value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _blank(item)
    elif isinstance(value, dict):
        code = value.get("code")
        if isinstance(code, dict) and "value" in code:
            code["value"] = ""
        for item in value.values():
            _blank(item)


if __name__ == "__main__":
    main(sys.argv[1:])
