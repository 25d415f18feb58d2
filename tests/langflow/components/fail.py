# mypy: ignore-errors
# ruff: noqa: RUF012
# LangFlow compiles this text by itself and reads the class attributes; its packages are not ours.
import builtins

from lfx.custom.custom_component.component import Component
from lfx.io import DropdownInput, MessageTextInput, Output
from lfx.schema.message import Message

KINDS = ["ValueError", "RuntimeError", "KeyError", "TimeoutError"]


class FailComponent(Component):
    display_name = "Fail"
    inputs = [
        MessageTextInput(name="input_value", display_name="Input"),
        DropdownInput(name="kind", display_name="Kind", options=KINDS, value=KINDS[0]),
        MessageTextInput(name="message", display_name="Text", value="deliberate failure"),
    ]
    outputs = [Output(name="output", display_name="Output", method="fail")]

    def fail(self) -> Message:
        raise getattr(builtins, self.kind)(self.message)
