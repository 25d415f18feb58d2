"""Adding a real LangFlow as a source: what is accepted, and what is refused in which words."""

from pathlib import Path

import pytest

from automagik.core.config import Settings
from automagik.demo.faults import html_page
from automagik.demo.server import DemoServer
from tests.cli.command_line import Cli, cli_in
from tests.langflow.server import LangflowServer

pytestmark = [pytest.mark.langflow, pytest.mark.timeout(900)]


@pytest.fixture
def cli(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    return cli_in(tmp_path, monkeypatch)


def test_a_server_is_added_and_its_flows_come_in(cli: Cli, langflow_server: LangflowServer) -> None:
    key = langflow_server.api_key
    added = cli("sources", "add", "lab", langflow_server.url, "--api-key-stdin", input=key)
    assert added.exit_code == 0
    tested = cli("sources", "test", "lab", "-o", "json").json
    assert (tested["reachable"], tested["key_valid"]) == (True, True)

    synced = cli("flows", "sync", "-o", "json").items
    assert {item["change"] for item in synced} == {"added"}
    assert len(synced) == tested["flows"]
    again = cli("flows", "sync", "-o", "json").items
    assert {item["change"] for item in again} == {"unchanged"}

    shown = cli("flows", "show", "echo", "-o", "json").json
    assert (shown["status"], shown["version_number"]) == ("ready", 1)
    assert (shown["input_component"], shown["output_component"]) == (
        "ChatInput-echo1",
        "ChatOutput-echo1",
    )
    status = {flow["name"]: flow["status"] for flow in cli("flows", "list", "-o", "json").items}
    assert status["Many Inputs And Outputs"] == "choice needed"
    said = "".join(result.stdout + result.stderr for result in (added, cli("sources", "list")))
    assert key not in said


def test_a_wrong_key_is_refused(cli: Cli, langflow_server: LangflowServer) -> None:
    key = "sk-of-a-stranger"
    refused = cli("sources", "add", "lab", langflow_server.url, "--api-key-stdin", input=key)
    assert refused.exit_code == 4
    assert "AM-SRC-KEY" in refused.stderr
    assert key not in refused.stderr
    assert cli("sources", "list", "-o", "json").items == []


def test_a_server_that_is_not_there_is_unreachable(cli: Cli, free_port: int) -> None:
    url = f"http://127.0.0.1:{free_port}"
    refused = cli("sources", "add", "lab", url, "--api-key-stdin", input="sk-key")
    assert refused.exit_code == 5
    assert f"{url} cannot be reached" in refused.stderr


@pytest.mark.parametrize("path", ["/flow/1234", "/login"])
def test_the_address_of_a_page_is_refused(
    cli: Cli, langflow_server: LangflowServer, path: str
) -> None:
    url, key = langflow_server.url + path, langflow_server.api_key
    refused = cli("sources", "add", "lab", url, "--api-key-stdin", input=key)
    assert refused.exit_code == 5
    assert "LangFlow is not at this address" in refused.stderr
    assert cli("sources", "list", "-o", "json").items == []


def test_a_website_is_refused(cli: Cli) -> None:
    with DemoServer(faults={"/api/v1/version": html_page()}) as website:
        refused = cli("sources", "add", "lab", website.url, "--api-key-stdin", input="sk-key")
    assert refused.exit_code == 5
    assert "text/html instead of JSON" in refused.stderr
