# mypy: ignore-errors
# ruff: noqa: RUF012
# LangFlow compiles this text by itself and reads the class attributes; its packages are not ours.
import asyncio
from collections.abc import AsyncIterator

from langchain_core.messages import AIMessageChunk
from lfx.custom.custom_component.component import Component
from lfx.io import BoolInput, FloatInput, MessageTextInput, Output
from lfx.schema.message import Message


class TokenStream(Component):
    display_name = "Token Stream"
    inputs = [
        MessageTextInput(name="input_value", display_name="Input"),
        FloatInput(name="delay", display_name="Delay", value=0.05),
        BoolInput(name="stream", display_name="Stream", value=False, advanced=True),
    ]
    outputs = [Output(name="output", display_name="Output", method="stream_words")]

    async def stream_words(self) -> Message:
        if self.stream:
            return Message(text=self.words())
        return Message(text="".join([word.content async for word in self.words()]))

    async def words(self) -> AsyncIterator[AIMessageChunk]:
        for word in self.input_value.split():
            await asyncio.sleep(self.delay)
            yield AIMessageChunk(content=f"{word} ")
