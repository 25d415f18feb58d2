# mypy: ignore-errors
# ruff: noqa: RUF012
# LangFlow compiles this text by itself and reads the class attributes; its packages are not ours.
from lfx.custom.custom_component.component import Component
from lfx.io import MessageTextInput, Output
from lfx.memory import aget_messages
from lfx.schema.message import Message


class SessionCount(Component):
    display_name = "Session Count"
    inputs = [MessageTextInput(name="input_value", display_name="Input")]
    outputs = [Output(name="output", display_name="Output", method="count")]

    async def count(self) -> Message:
        session = self.graph.session_id
        said = await aget_messages(session_id=session, sender="User")
        return Message(text=f"message {len(said)} of session {session}: {self.input_value}")
