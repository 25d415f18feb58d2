"""A user with a command line, a beat, a worker and a real LangFlow."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import requests

from tests.cli.command_line import Cli
from tests.langflow.server import ANSWER_SECONDS, LangflowServer
from tests.system.fleet import Fleet


@dataclass(frozen=True, kw_only=True, slots=True)
class User:
    cli: Cli
    fleet: Fleet
    langflow: LangflowServer

    def done(self, *words: str) -> str:
        """What a command that succeeds prints."""
        result = self.cli(*words)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    def run(self, flow: str, *options: str) -> str:
        """The output of a run, without its last line break."""
        return self.done("flows", "run", flow, "--wait", *options).removesuffix("\n")

    def start(self, flow: str, *options: str) -> str:
        """The id of a run that goes on."""
        return self.done("flows", "run", flow, *options).strip()

    def show(self, task: str = "@last") -> Any:
        return self.cli("tasks", "show", task, "-o", "json").json

    def wait_for_state(self, task_id: str, state: str, *, seconds: float = 30) -> None:
        query = "SELECT state = :state FROM tasks WHERE id = :id"
        self.fleet.wait_for(query, id=task_id, state=state, seconds=seconds)

    def wait_for_completed(self, schedule: str, count: int) -> None:
        query = (
            "SELECT count(*) >= :count FROM tasks t JOIN schedules s ON s.id = t.schedule_id"
            " WHERE s.name = :name AND t.state = 'completed'"
        )
        self.fleet.wait_for(query, name=schedule, count=count, seconds=30)

    def ask(self, method: str, path: str, **arguments: Any) -> Any:
        """Asks LangFlow itself, as its editor does."""
        answer = requests.request(
            method,
            f"{self.langflow.url}/api/v1/{path}",
            headers={"x-api-key": self.langflow.api_key},
            timeout=ANSWER_SECONDS,
            **arguments,
        )
        answer.raise_for_status()
        return answer.json()

    def senders(self, session: str) -> list[str]:
        """Whose messages LangFlow has stored of a session."""
        messages = self.ask("GET", "monitor/messages", params={"session_id": session})
        return sorted(message["sender"] for message in messages)

    @contextmanager
    def copy_of(self, flow: str) -> Iterator[Any]:
        """A flow of its own on the server, under a new name; the test may change or delete it."""
        shown = self.cli("flows", "show", flow, "-o", "json").json
        original = self.ask("GET", f"flows/{shown['remote_id']}")
        name = f"copy {uuid4()}"
        made = self.ask("POST", "flows/", json={"name": name, "data": original["data"]})
        yield made
        there = self.ask("GET", "flows/", params={"header_flows": True})
        if made["id"] in {flow["id"] for flow in there}:
            self.ask("DELETE", f"flows/{made['id']}")
