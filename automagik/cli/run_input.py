"""The input of a run from the options of a command."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from automagik.cli.context import printer
from automagik.cli.person import text_from

if TYPE_CHECKING:
    from automagik.core.flows.flow_input import FlowInput

_SHOWN = 200


def run_input_from(
    texts: Sequence[str] | None,
    *,
    tweaks: Sequence[str] | None = None,
    session: str | None = None,
    is_template: bool = False,
) -> "FlowInput":
    """--tweak and --session win over what JSON in --input says. Raises InvalidInput.

    A template is of a chain, which fills it in.
    """
    from automagik.core.flows.flow_input import FlowInput, parse_input
    from automagik.core.flows.tweaks import merge_tweaks, parse_tweaks
    from automagik.core.scheduler.input_template import template_input

    text = _text(texts or ())
    said = template_input(text) if is_template else parse_input(text)
    return FlowInput(
        input_value=said.input_value,
        tweaks=merge_tweaks(said.tweaks, parse_tweaks(tweaks or [])),
        session_id=session or said.session_id,
    )


def _text(texts: Sequence[str]) -> str | None:
    """What was taken for fields is said: it may have been meant as a text."""
    from automagik.core.flows.input_fields import AS_TEXT, fields_text, is_field

    if len(texts) < 2 and not any(map(is_field, texts)):
        return text_from(texts[0]) if texts else None
    found = fields_text(texts)
    cut = found if len(found) <= _SHOWN else f"{found[:_SHOWN]}…"
    printer().say(f"The input is {cut}")
    if len(texts) == 1:
        printer().say(f"  {AS_TEXT}")
    return found
