"""The keys of a source in a file. An API key is named, never written: `env:NAME`, `file:PATH`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from automagik.core.exceptions import AutomagikError, InvalidInput
from automagik.core.flows.api_key import checked_key
from automagik.core.flows.source_url import normalize_source_url
from automagik.core.flows.sources import DEFAULT_MAX_PARALLEL_RUNS
from automagik.core.manifest import readers
from automagik.core.manifest.document import Node
from automagik.core.manifest.readers import Reader
from automagik.core.manifest.values import ManifestFile

_HINT = "Write api-key: env:NAME for a variable, or api-key: file:PATH for a file."


def _url(node: Node) -> str:
    return normalize_source_url(readers.text(node))


def _reference(node: Node) -> str:
    """Says nothing of what it refuses."""
    found = readers.text(node)
    kind, colon, name = found.partition(":")
    if kind not in ("env", "file") or not colon or not name.strip():
        raise InvalidInput("A key does not belong into a file.", hint=_HINT)
    return found


SOURCE_KEYS: Mapping[str, Reader] = {
    "url": _url,
    "api-key": _reference,
    "max-parallel": readers.number(1),
    "max-per-minute": readers.number(1),
    "disabled": readers.truth,
    "note": readers.exact_text,
}


def source_fields(
    fields: dict[str, Any],
    file: ManifestFile,
    *,
    environment: Mapping[str, str],
    refuse: Callable[[str, AutomagikError], None],
) -> dict[str, Any]:
    """With the key itself instead of its name."""
    if "url" not in fields:
        refuse(
            "url", InvalidInput("is missing or wrong.", hint="url: https://langflow.example.com")
        )
    reference = fields.pop("api-key", None)
    if reference is not None:
        try:
            fields["api-key"] = _resolved(reference, file.folder, environment)
        except AutomagikError as error:
            refuse("api-key", error)
    if "note" in fields and not fields.get("disabled"):
        refuse("note", InvalidInput("says why it is disabled: disabled: true is missing."))
    if fields.get("max-parallel") == DEFAULT_MAX_PARALLEL_RUNS:
        del fields["max-parallel"]
    return fields


def _resolved(reference: str, folder: Path, environment: Mapping[str, str]) -> SecretStr:
    kind, _, name = reference.partition(":")
    name = name.strip()
    if kind == "env":
        if not environment.get(name):
            raise InvalidInput(f"The variable {name} is not set.")
        return checked_key(environment[name], origin=f"the variable {name}")
    try:
        text = (folder / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError):
        raise InvalidInput(f"The file {name} cannot be read.") from None
    return checked_key(text, origin=name)
