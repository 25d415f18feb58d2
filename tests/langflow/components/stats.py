# mypy: ignore-errors
# ruff: noqa: RUF012
# LangFlow compiles this text by itself and reads the class attributes; its packages are not ours.
from lfx.custom.custom_component.component import Component
from lfx.io import MessageTextInput, Output
from lfx.schema.data import Data


class StatsComponent(Component):
    display_name = "Text Stats"
    inputs = [MessageTextInput(name="input_value", display_name="Input")]
    outputs = [Output(name="stats", display_name="Stats", method="count")]

    def count(self) -> Data:
        text = self.input_value
        found = {"characters": len(text), "words": len(text.split()), "upper": text.upper()}
        return Data(data={**found, "tags": ["a", "b"], "nested": {"ok": True}})
