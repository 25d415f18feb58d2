# mypy: ignore-errors
# ruff: noqa: RUF012
# LangFlow compiles this text by itself and reads the class attributes; its packages are not ours.
import tempfile
from pathlib import Path
from urllib.parse import quote

from lfx.custom.custom_component.component import Component
from lfx.io import IntInput, MessageTextInput, Output
from lfx.schema.message import Message


class FlakyComponent(Component):
    display_name = "Flaky"
    inputs = [
        MessageTextInput(name="input_value", display_name="Input"),
        IntInput(name="failures", display_name="Failures", value=2),
        MessageTextInput(name="key", display_name="Key", value="default"),
    ]
    outputs = [Output(name="output", display_name="Output", method="attempt")]

    def attempt(self) -> Message:
        tally = Path(tempfile.gettempdir()) / f"flaky-{quote(self.key, safe='')}"
        with tally.open("ab") as file:
            file.write(b"|")
            count = file.tell()
        if count <= self.failures:
            raise RuntimeError(f"flaky failure {count} of {self.failures} (key {self.key})")
        return Message(text=f"succeeded on attempt {count}: {self.input_value}")
