# mypy: ignore-errors
# ruff: noqa: RUF012
# LangFlow compiles this text by itself and reads the class attributes; its packages are not ours.
import asyncio

from lfx.custom.custom_component.component import Component
from lfx.io import FloatInput, MessageTextInput, Output
from lfx.schema.message import Message


class SleepComponent(Component):
    display_name = "Sleep"
    inputs = [
        MessageTextInput(name="input_value", display_name="Input"),
        FloatInput(name="seconds", display_name="Seconds", value=2.0),
    ]
    outputs = [Output(name="output", display_name="Output", method="wait")]

    async def wait(self) -> Message:
        await asyncio.sleep(self.seconds)
        return Message(text=f"slept {self.seconds}s: {self.input_value}")
