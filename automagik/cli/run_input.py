"""The input of a run from the options of a command."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from automagik.cli.person import text_from

if TYPE_CHECKING:
    from automagik.core.flows.flow_input import FlowInput


def run_input_from(
    text: str | None, *, tweaks: Sequence[str] | None = None, session: str | None = None
) -> "FlowInput":
    """--tweak and --session win over what JSON in --input says. Raises InvalidInput."""
    from automagik.core.flows.flow_input import FlowInput, parse_input
    from automagik.core.flows.tweaks import merge_tweaks, parse_tweaks

    said = parse_input(text_from(text))
    return FlowInput(
        input_value=said.input_value,
        tweaks=merge_tweaks(said.tweaks, parse_tweaks(tweaks or [])),
        session_id=session or said.session_id,
    )
