"""The call of an attempt: its flow, on its source, with its input."""

from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from uuid import UUID

from pydantic import SecretStr

from automagik.core.config import Settings
from automagik.core.encryption import Keyring
from automagik.core.flows.analyzer import FlowAnalysis, analyze
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.remote import RemoteFlows, RunAnswer
from automagik.core.flows.run_body import RunBody, build_run_body
from automagik.core.flows.stream import RunEvent
from automagik.core.tasks.claim import Claim
from automagik.core.tasks.heartbeat import HeldRun
from automagik.core.tasks.log import Level, TaskLog

ANALYSES = 256


class FlowCaller:
    """Calls the sources of claimed runs; one for all threads of a process.

    Args:
        definition_of: the definition of a flow version.
    """

    def __init__(
        self, settings: Settings, definition_of: Callable[[UUID], dict[str, object]]
    ) -> None:
        self._settings = settings
        self._keyring = Keyring.of(settings)
        # A version never changes, so what was found out about it stays true.
        self._analysis: Callable[[UUID], FlowAnalysis] = lru_cache(maxsize=ANALYSES)(
            lambda version_id: analyze(definition_of(version_id))
        )

    def __call__(self, run: HeldRun) -> RunAnswer:
        """Raises RemoteError and, for what cannot be sent, other AutomagikErrors."""
        claimed = run.claim
        body = self._body(claimed)
        api_key = self._api_key(claimed)
        run.log.hide(api_key.get_secret_value())
        remote = RemoteFlows(
            claimed.source_url,
            api_key,
            connect_timeout=timedelta(seconds=self._settings.connect_timeout_seconds),
            max_answer_bytes=self._settings.max_answer_bytes,
        )
        run.log.say(
            "langflow",
            f"running {claimed.flow_name!r} on {claimed.source_name} ({claimed.source_url}),"
            f" session {claimed.session_id}, at most {claimed.timeout.total_seconds():g} s",
        )
        return remote.run(
            claimed.remote_flow_id,
            body,
            deadline=claimed.timeout,
            idempotency_key=f"{claimed.task_id}-{claimed.attempt}",
            traceparent=run.traceparent or claimed.traceparent,
            on_event=lambda event: _say_event(run.log, event),
            handle=run.handle,
        )

    def _body(self, claimed: Claim) -> RunBody:
        return build_run_body(
            FlowInput(
                input_value=claimed.input_value,
                tweaks=claimed.tweaks,
                session_id=claimed.session_id,
            ),
            self._analysis(claimed.flow_version_id),
            input_component=claimed.input_component,
            output_component=claimed.output_component,
            session_id=claimed.session_id,
        )

    def _api_key(self, claimed: Claim) -> SecretStr:
        """Empty where the source needs none."""
        if claimed.api_key_encrypted is None:
            return SecretStr("")
        return self._keyring.decrypt(claimed.api_key_encrypted)


def _say_event(log: TaskLog, event: RunEvent) -> None:
    """Tokens are left out: the message that they make up follows them."""
    if event.text and event.kind != "token":
        level: Level = "error" if event.kind == "error" else "info"
        log.quote(event.component or "langflow", event.text, level=level)
