"""A LangFlow server as AutoMagik sees it: list, get and run its flows. Works with 1.0 to 1.13."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from pydantic import SecretStr

from automagik.core.exceptions import InvalidInput
from automagik.core.flows.answer import extract_text
from automagik.core.flows.call import Answer, Call, Limits, answered
from automagik.core.flows.exceptions import MalformedAnswer, SourceServerError
from automagik.core.flows.remote_flow import FlowHeader, RemoteFlow
from automagik.core.flows.run_body import RunBody
from automagik.core.flows.run_handle import RunHandle
from automagik.core.flows.source_url import normalize_source_url
from automagik.core.flows.stream import RunEvent, follow

LIST_FAILS_WITH_KEY = "has no attribute 'flows'"
"""LangFlow 1.0 cannot list flows for an API key, but can list folders."""
EXAMPLES_FOLDER = "Starter Projects"


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteVersion:
    """What the server says; a bare langflow-base before 1.12 says 0.x (0.7.3 is 1.7.3)."""

    version: str
    package: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunAnswer:
    """`answer` is the whole answer of LangFlow, `text` what its chosen output says."""

    answer: dict[str, Any] = field(repr=False)
    text: str | None = field(repr=False)
    http_status: int
    duration: timedelta


class RemoteFlows:
    """One LangFlow server and one key. Cheap to make; safe to use from several threads.

    Every method raises RemoteError. `total_timeout` bounds each call but a run, which has its own
    deadline.
    """

    def __init__(
        self,
        url: str,
        api_key: SecretStr,
        *,
        connect_timeout: timedelta = timedelta(seconds=10),
        read_timeout: timedelta = timedelta(seconds=30),
        total_timeout: timedelta = timedelta(seconds=60),
        max_answer_bytes: int = 32 * 1024 * 1024,
    ) -> None:
        """Raises InvalidInput for a URL or a key that cannot be sent."""
        self.url = normalize_source_url(url)
        self._api_key = _sendable(api_key)
        self._limits = Limits(
            connect=connect_timeout,
            read=read_timeout,
            deadline=total_timeout,
            max_bytes=max_answer_bytes,
        )

    def health(self) -> None:
        """Returns when the server is up; a busy one may take long."""
        status = self._object("/health").get("status")
        if status != "ok":
            raise MalformedAnswer(f"The source's health is {status!r}.")

    def version(self) -> RemoteVersion:
        answer = self._object("/api/v1/version")
        if not isinstance(answer.get("version"), str):
            raise MalformedAnswer("The source does not say its version.")
        return RemoteVersion(version=answer["version"], package=str(answer.get("package") or ""))

    def check_key(self) -> str:
        """The name of the user that the key belongs to. Raises SourceUnauthorized."""
        return str(self._object("/api/v1/users/whoami").get("username") or "")

    def list_flows(
        self, *, include_components: bool = False, include_examples: bool = False
    ) -> list[FlowHeader]:
        """All flows of the key's user, by name, without definitions where the server can."""
        try:
            found = self._listed(include_examples=include_examples)
        except SourceServerError as error:
            if LIST_FAILS_WITH_KEY not in error.message:
                raise
            found = list(self._listed_by_folder())
        headers = (FlowHeader.from_json(flow) for flow in found)
        wanted = [flow for flow in headers if include_components or not flow.is_component]
        return sorted(wanted, key=lambda flow: (flow.name.casefold(), flow.id))

    def get_flow(self, flow_id: str) -> RemoteFlow:
        """Raises RemoteFlowNotFound."""
        return RemoteFlow.from_json(self._object(f"/api/v1/flows/{quote(flow_id, safe='')}"))

    def run(
        self,
        remote_flow_id: str,
        body: RunBody,
        *,
        deadline: timedelta,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
        on_event: Callable[[RunEvent], None] | None = None,
        handle: RunHandle | None = None,
    ) -> RunAnswer:
        """Runs the flow and waits for its answer. Never sends a run twice.

        The key goes along as a header, for what stands before the source and knows repeats by it;
        so does the span that the run is a part of.

        The run is streamed: `on_event` is called in this thread for what it says, and breaking it
        off by `handle` or `deadline` closes the connection, which stops it on LangFlow 1.2 to 1.13.
        Raises RunFailed, StreamEnded, DeadlineExceeded, RunCancelled and the other RemoteErrors.
        """
        call = Call(
            method="POST",
            url=f"{self.url}/api/v1/run/{quote(remote_flow_id, safe='')}",
            api_key=self._api_key,
            params={"stream": "true"},
            body=body.to_json(),
            is_run=True,
            idempotency_key=idempotency_key,
            traceparent=traceparent,
        )
        limits = replace(self._limits, read=None, deadline=deadline)
        begun = time.monotonic()
        with answered(call, limits=limits, handle=handle or RunHandle()) as reply:
            answer = _run_answer(reply, on_event)
        return RunAnswer(
            answer=answer,
            text=extract_text(answer, output_component=body.output_component),
            http_status=reply.status,
            duration=timedelta(seconds=time.monotonic() - begun),
        )

    def _listed(self, *, include_examples: bool) -> list[Any]:
        params = {
            "get_all": "true",
            "header_flows": "true",
            "remove_example_flows": "false" if include_examples else "true",
        }
        answer = self._get("/api/v1/flows/", params)
        if not isinstance(answer, dict):
            return _list(answer)
        # No version is known to page an answer to get_all, but all know how to page.
        found = _list(answer.get("items"))
        for page in range(2, int(answer.get("pages") or 1) + 1):
            following = self._object("/api/v1/flows/", params | {"page": str(page)})
            found += _list(following.get("items"))
        return found

    def _listed_by_folder(self) -> Iterator[Any]:
        for folder in _list(self._get("/api/v1/folders/")):
            if folder["name"] != EXAMPLES_FOLDER:
                yield from _list(self._object(f"/api/v1/folders/{folder['id']}").get("flows"))

    def _object(self, path: str, params: dict[str, str] | None = None) -> dict[str, Any]:
        answer = self._get(path, params)
        if not isinstance(answer, dict):
            raise MalformedAnswer(f"{self.url}{path} answers with JSON that is no object.")
        return answer

    def _get(self, path: str, params: dict[str, str] | None = None) -> Any:
        call = Call(method="GET", url=self.url + path, api_key=self._api_key, params=params)
        with answered(call, limits=self._limits, handle=RunHandle()) as reply:
            return reply.json()


def _run_answer(reply: Answer, on_event: Callable[[RunEvent], None] | None) -> dict[str, Any]:
    """LangFlow 1.0 answers a streamed run with plain JSON."""
    if reply.content_type == "application/json":
        answer = reply.json()
    else:
        reply.require("text/event-stream")
        answer = follow(reply.chunks(), on_event)
    if not isinstance(answer, dict) or not isinstance(answer.get("outputs"), list):
        raise MalformedAnswer("The answer of the run has no outputs.")
    return answer


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise MalformedAnswer("The source answers with JSON that is no list.")
    return value


def _sendable(api_key: SecretStr) -> SecretStr:
    key = api_key.get_secret_value().strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise InvalidInput("The API key has characters that no HTTP header can carry.")
    return SecretStr(key)
