"""What an update of a schedule can take back, by its name on the command line."""

from collections.abc import Iterable
from difflib import get_close_matches

from automagik.core.exceptions import InvalidInput
from automagik.core.scheduler.after import Reaction
from automagik.core.scheduler.labels import UnsetLabel
from automagik.core.scheduler.policy_columns import PolicyOption
from automagik.core.scheduler.rule_text import RuleOption
from automagik.core.tasks.run_options import RunOption

Unsettable = RunOption | RuleOption | PolicyOption | Reaction | UnsetLabel

UNSETTABLE: dict[str, Unsettable] = {
    str(option): option for option in (*RunOption, *RuleOption, *PolicyOption, *Reaction)
}
"""By name, without labels."""


def unset_options(names: Iterable[str]) -> tuple[Unsettable, ...]:
    """Raises InvalidInput with what is possible."""
    return tuple(_option(name.strip().removeprefix("--")) for name in names)


def _option(name: str) -> Unsettable:
    if name in UNSETTABLE:
        return UNSETTABLE[name]
    label, separator, key = name.partition(":")
    if label == "label":
        return UnsetLabel(key=key if separator else None)
    close = get_close_matches(name, UNSETTABLE, n=1)
    raise InvalidInput(
        f"{name!r} cannot be unset" + (f"; did you mean {close[0]}?" if close else "."),
        hint=f"What can be: {', '.join(UNSETTABLE)}, label, label:KEY.",
    )
