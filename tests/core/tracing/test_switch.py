"""When a process makes spans, and what it imports if it does not."""

import os
import subprocess
import sys

import pytest

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
CODE = """
import logging, sys
logging.basicConfig(format="%(message)s")
from automagik.core.tracing import switch
for _ in range(2):
    is_on = switch.is_on()
print(is_on, "opentelemetry.sdk.trace" in sys.modules)
"""
WITHOUT_EXTRA = f"import sys; sys.modules['opentelemetry'] = None\n{CODE}"


def asked(environment: dict[str, str], code: str = CODE) -> tuple[str, list[str]]:
    """Whether spans are made and the library is there, and what a new process said of it."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=bare | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip(), done.stderr.splitlines()


@pytest.mark.parametrize(
    "environment",
    [
        ENDPOINT,
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"},
        {**ENDPOINT, "OTEL_SDK_DISABLED": "false", "OTEL_EXPORTER_OTLP_PROTOCOL": ""},
    ],
)
def test_an_endpoint_turns_them_on(environment: dict[str, str]) -> None:
    assert asked(environment) == ("True True", [])


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " ", "OTEL_SERVICE_NAME": "mine"},
        {**ENDPOINT, "OTEL_SDK_DISABLED": "TRUE"},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_without_one_or_told_not_to_nothing_is_imported(environment: dict[str, str]) -> None:
    assert asked(environment) == ("False False", [])


def test_one_line_says_that_the_extra_is_missing() -> None:
    answer, said = asked(ENDPOINT, WITHOUT_EXTRA)

    assert answer == "False False"
    [line] = said
    assert "automagik[otel]" in line
    assert asked({}, WITHOUT_EXTRA) == ("False False", [])


def test_one_line_says_that_a_variable_has_a_wrong_value() -> None:
    """The process goes on without traces."""
    begun = """
import logging
logging.basicConfig(format="%(message)s")
from automagik.core.tracing import switch
print(switch.begin("automagik-worker", instance="here"), switch.current())
switch.end()
"""
    answer, said = asked({**ENDPOINT, "OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, begun)

    assert answer == "None None"
    assert "No traces are sent: ValueError" in said[-1]


def test_one_line_says_that_a_protocol_is_not_spoken() -> None:
    answer, said = asked({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})

    assert answer == "False False"
    [line] = said
    assert "grpc" in line
