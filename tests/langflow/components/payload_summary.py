# mypy: ignore-errors
# ruff: noqa: RUF012
# LangFlow compiles this text by itself and reads the class attributes; its packages are not ours.
from lfx.custom.custom_component.component import Component
from lfx.io import DataInput, Output
from lfx.schema.message import Message


class PayloadSummary(Component):
    display_name = "Payload Summary"
    inputs = [DataInput(name="payload", display_name="Payload")]
    outputs = [Output(name="summary", display_name="Summary", method="summarise")]

    def summarise(self) -> Message:
        data = self.payload.data
        keys = ", ".join(sorted(data))
        event = data.get("event")
        return Message(text=f"webhook received {len(data)} keys: {keys}; event={event}")
