"""Values as YAML that this and other readers of YAML take for the same. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from automagik.core.manifest.document import plain_value


class _Dumper(yaml.SafeDumper):
    """Indents lists, and writes no anchors."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def yaml_text(documents: Sequence[Mapping[str, Any]]) -> str:
    """One after the other."""
    return yaml.dump_all(
        [_plain(each) for each in documents],
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=10_000,
        explicit_start=len(documents) > 1,
    )


def _plain(value: Any) -> Any:
    """One text instead of a list of one."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return str(value[0]) if len(value) == 1 else [str(each) for each in value]
    return value


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Quoted where it would be read as something else, by lines where it has lines."""
    style = None
    if not all(character.isprintable() or character == "\n" for character in text):
        style = '"'
    elif plain_value(text) is not text:
        style = "'"
    elif "\n" in text:
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _nothing(dumper: yaml.SafeDumper, _: None) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:null", "")


_Dumper.add_representer(str, _text)
_Dumper.add_representer(type(None), _nothing)
