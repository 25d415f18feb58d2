"""What each setting means, as the code says it where the setting is."""

import ast
import inspect
import textwrap
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingHelp:
    """One setting."""

    name: str
    """The variable of the environment."""
    key: str
    """Its name in files."""
    default: Any
    meaning: str


def settings_guide() -> list[SettingHelp]:
    from automagik.core.config import Settings
    from automagik.core.settings.layers import variable

    meanings = attribute_docstrings(Settings)
    return [
        SettingHelp(
            name=variable(Settings, key),
            key=key,
            default=_default(field.default) if field.default_factory is None else None,
            meaning=field.description or meanings.get(key, ""),
        )
        for key, field in Settings.model_fields.items()
    ]


def attribute_docstrings(kind: type) -> dict[str, str]:
    """Of the attributes: Python itself forgets them."""
    [tree] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    found = {}
    for attribute, text in pairwise(body):
        match attribute, text:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(said))),
            ):
                found[name] = inspect.cleandoc(said)
    return found


def _default(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value.total_seconds() if isinstance(value, timedelta) else value
