"""The input of a run from the options of a command."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from automagik.cli.person import text_from

if TYPE_CHECKING:
    from automagik.core.flows.flow_input import FlowInput


def run_input_from(
    text: str | None,
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

    said = template_input(text_from(text)) if is_template else parse_input(text_from(text))
    return FlowInput(
        input_value=said.input_value,
        tweaks=merge_tweaks(said.tweaks, parse_tweaks(tweaks or [])),
        session_id=session or said.session_id,
    )
