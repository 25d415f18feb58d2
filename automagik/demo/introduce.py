"""Brings the demo server into a running `automagik up`: a source, its flows and a busy schedule."""

import secrets
from contextlib import suppress

from pydantic import SecretStr

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.embedded import ports, services
from automagik.core.embedded.application import Application
from automagik.core.embedded.state import StateFile, write_private
from automagik.core.exceptions import Conflict
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.manager import FlowManager
from automagik.core.flows.sources import SourceManager
from automagik.core.flows.sync import FlowSync
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.schedule_type import ScheduleType
from automagik.core.scheduler.values import CadenceText

SOURCE = "demo"
FLOW = "Echo"
SCHEDULE = "demo-echo"
EVERY = "10s"
GREETING = "Hello from AutoMagik"


def introduce(application: Application) -> None:
    """May be done at every start: what is there already stays. Raises AutomagikError."""
    url, api_key = _start(application)
    database, settings = application.database, application.settings
    _add_source(SourceManager(database, settings), url, api_key)
    FlowSync(database, settings).sync(source=SOURCE)
    _add_schedule(database, settings)


def _start(application: Application) -> tuple[str, SecretStr]:
    """Port and key stay the same from one start to the next, as for a real server."""
    home = application.settings.home
    state = StateFile(home)
    remembered = state.read()
    port = ports.free_port(remembered.get("demo_port"))
    key = remembered.get("demo_api_key") or secrets.token_urlsafe(24)
    state.update(demo_port=port, demo_api_key=key)
    key_file = home / "demo.key"
    write_private(key_file, key)
    url = f"http://{ports.LOOPBACK}:{port}"
    environment = application.environment
    child = services.demo(application.settings, environment, port=port, key_file=key_file)
    application.processes.start(child, ready=services.answers(f"{url}/health"), url=url)
    return url, SecretStr(key)


def _add_source(sources: SourceManager, url: str, api_key: SecretStr) -> None:
    known = {source.name: source for source in sources.list()}
    if SOURCE in known:
        sources.update(known[SOURCE], url=url, api_key=api_key)
    else:
        sources.add(SOURCE, url, api_key=api_key)


def _add_schedule(database: Database, settings: Settings) -> None:
    flow = FlowManager(database, settings).get(FLOW)
    rule = CadenceText(type=ScheduleType.INTERVAL, expr=EVERY)
    greeting = FlowInput(input_value=GREETING)
    with suppress(Conflict):  # it is there from an earlier start
        SchedulerManager(database, settings).create(flow, rule, run_input=greeting, name=SCHEDULE)
