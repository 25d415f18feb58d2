"""Options that several commands share as one value: a dataclass whose fields are options."""

from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, get_type_hints


def takes(**groups: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The command's parameters of these names; each stands for the options of its dataclass."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def call(**given: Any) -> None:
            for name, group in groups.items():
                given[name] = group(**{each.name: given.pop(each.name) for each in fields(group)})
            command(**given)

        parameters = list(_parameters(command, groups))
        call.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {each.name: each.annotation for each in parameters}
        return call

    return decorate


def _parameters(command: Callable[..., None], groups: dict[str, type[Any]]) -> Iterator[Parameter]:
    hints = get_type_hints(command, include_extras=True)
    for parameter in signature(command).parameters.values():
        if parameter.name in groups:
            yield from _options(groups[parameter.name])
        else:
            annotation = hints[parameter.name]
            yield parameter.replace(annotation=annotation, kind=Parameter.KEYWORD_ONLY)


def _options(group: type[Any]) -> Iterator[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for each in fields(group):
        yield Parameter(
            each.name, Parameter.KEYWORD_ONLY, default=_default(each), annotation=hints[each.name]
        )


def _default(field: Field[Any]) -> Any:
    return Parameter.empty if field.default is MISSING else field.default
