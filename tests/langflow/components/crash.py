# mypy: ignore-errors
# ruff: noqa: RUF012
# LangFlow compiles this text by itself and reads the class attributes; its packages are not ours.
import os

from lfx.custom.custom_component.component import Component
from lfx.io import BoolInput, MessageTextInput, Output
from lfx.schema.message import Message


class CrashComponent(Component):
    display_name = "Crash"
    inputs = [
        MessageTextInput(name="input_value", display_name="Input"),
        BoolInput(name="really", display_name="Really", value=False),
    ]
    outputs = [Output(name="output", display_name="Output", method="crash")]

    def crash(self) -> Message:
        if self.really:
            os._exit(9)
        return Message(text=f"still alive: {self.input_value}")
