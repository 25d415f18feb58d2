from collections.abc import Iterator

import pytest

from automagik.demo.flows import load_flows
from automagik.demo.server import DemoServer
from tests.langflow.exchanges import Ask, ask_server, recorded
from tests.langflow.server import FLOWS, LangflowServer, running_langflow

# The first use installs LangFlow, which takes minutes.
_REAL = pytest.param("langflow", marks=[pytest.mark.langflow, pytest.mark.timeout(900)])


@pytest.fixture(scope="session")
def langflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LangflowServer]:
    """A real LangFlow with the flows of tests/data/langflow/flows."""
    with running_langflow(tmp_path_factory.mktemp("langflow")) as server:
        yield server


@pytest.fixture(scope="session")
def demo_server() -> Iterator[DemoServer]:
    """The demo server with the same flows."""
    with DemoServer(flows=load_flows(FLOWS)) as server:
        yield server


@pytest.fixture(params=["recordings", "demo", _REAL])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Gives the answer to a recorded request: as recorded, of the demo, of a real LangFlow."""
    if request.param == "recordings":
        return recorded
    server = request.getfixturevalue(f"{request.param}_server")
    return ask_server(server.url, server.api_key)
