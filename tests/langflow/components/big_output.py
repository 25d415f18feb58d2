# mypy: ignore-errors
# ruff: noqa: RUF012
# LangFlow compiles this text by itself and reads the class attributes; its packages are not ours.
from lfx.custom.custom_component.component import Component
from lfx.io import IntInput, MessageTextInput, Output
from lfx.schema.message import Message


class BigOutputComponent(Component):
    display_name = "Big Output"
    inputs = [
        MessageTextInput(name="input_value", display_name="Input"),
        IntInput(name="size", display_name="Size", value=1048576),
    ]
    outputs = [Output(name="output", display_name="Output", method="build_text")]

    def build_text(self) -> Message:
        return Message(text=("0123456789abcdef" * (self.size // 16 + 1))[: self.size])
