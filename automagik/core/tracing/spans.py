"""The spans of runs. Only who makes some imports this: it brings OpenTelemetry along.

Nothing that a flow gets or says is in a span, and of an error only its code.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    get_current_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from automagik import __version__
from automagik.core.exceptions import AutomagikError
from automagik.core.flows.exceptions import RemoteError
from automagik.core.logs.redaction import without_known
from automagik.core.tasks.claim import Claim
from automagik.core.tasks.outcome import Disowned, Failed
from automagik.core.tracing.exporter import Exporter

if TYPE_CHECKING:
    from automagik.core.flows.remote import RunAnswer
    from automagik.core.tasks.heartbeat import HeldRun
    from automagik.core.tasks.task_runner import Report

CLOSE_PATIENCE = timedelta(seconds=2)
RUN_PATH = "/api/v1/run/{flow_id}"

_ROOT = Context()
_HEADER = "traceparent"
_propagator = TraceContextTextMapPropagator()

Task = Mapping[str, Any]
Call = Callable[["HeldRun"], "RunAnswer"]


class Traces:
    """Of one process, for all its threads. Whatever becomes of the spans, the work goes on."""

    def __init__(self, service: str, *, instance: str) -> None:
        """Starts the thread that sends."""
        self._provider = TracerProvider(
            resource=_resource(service, instance=instance), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(Exporter()))
        self._tracer = self._provider.get_tracer("automagik", __version__)

    def begun(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """With a new trace for each, which begins at what a beat makes of its schedule."""
        return [{**task, _HEADER: traceparent(self._created(task))} for task in tasks]

    def root(self) -> "Root":
        """A trace for a run that has none."""
        return Root(self._tracer.start_span("claim task", _ROOT, SpanKind.INTERNAL))

    @contextmanager
    def attempt(self, claim: Claim, root: "Root") -> Iterator["Attempt"]:
        """The span of an attempt. `root` was offered to the claim."""
        facts = _facts(claim)
        if claim.traceparent == root.traceparent:
            root.end(facts)
        attributes: dict[str, str | int | float] = {
            **facts,
            "automagik.attempt": claim.attempt,
            "automagik.wait_seconds": _waited(claim),
            "messaging.system": "automagik",
            "messaging.operation.type": "process",
        }
        name = f"run {facts['automagik.flow']}"
        with self._span(name, SpanKind.CONSUMER, attributes, _parent(claim.traceparent)) as span:
            yield Attempt(span)

    def traced(self, call: Call) -> Call:
        """Makes the call of a source a span of its own, which the source is told of."""

        def traced_call(run: "HeldRun") -> "RunAnswer":
            attributes = _of_call(run.claim)
            with self._span(f"POST {RUN_PATH}", SpanKind.CLIENT, attributes) as span:
                answer = call(replace(run, traceparent=traceparent(span)))
                span.set_attribute("http.response.status_code", answer.http_status)
                return answer

        return traced_call

    def close(self) -> None:
        """Sends what is left. A receiver that does not answer holds nobody up for long."""
        thread = Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        with suppress(RuntimeError):  # a host that takes no more threads
            thread.start()
            thread.join(CLOSE_PATIENCE.total_seconds())

    def _created(self, task: Task) -> Span:
        parent = _context(task.get("parent_traceparent"))
        attributes = {
            "automagik.task.id": str(task["id"]),
            "automagik.schedule.id": str(task["schedule_id"]),
        }
        span = self._tracer.start_span(
            "create task",
            _ROOT,
            SpanKind.PRODUCER,
            attributes,
            links=() if parent is None else (Link(parent),),
        )
        span.end()
        return span

    @contextmanager
    def _span(
        self,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, str | int | float],
        context: Context | None = None,
    ) -> Iterator[Span]:
        """Without the text of an exception, which may hold anything."""
        with self._tracer.start_as_current_span(
            name,
            context,
            kind,
            attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                _tell_error(span, error)
                raise


class Root:
    """The span that a trace begins with. Unless it is ended, nobody hears of it."""

    def __init__(self, span: Span) -> None:
        self.traceparent = traceparent(span)
        self._span = span

    def end(self, facts: Mapping[str, str]) -> None:
        self._span.set_attributes(facts)
        self._span.end()


class Attempt:
    """The span of an attempt that is under way."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def tell(self, report: "Report") -> None:
        outcome, ending = report.outcome, report.ending
        if ending is not None:
            self._span.set_attribute("automagik.state", ending.state.value)
            self._span.set_attribute("automagik.outcome", ending.outcome.value)
        if isinstance(outcome, Disowned):
            self._span.set_attribute("automagik.outcome", outcome.reason.value)
        if isinstance(outcome, Failed):
            _fail(self._span, outcome.code)


def traceparent(span: Span) -> str:
    at = span.get_span_context()
    return f"00-{at.trace_id:032x}-{at.span_id:016x}-{at.trace_flags:02x}"


def _resource(service: str, *, instance: str) -> Resource:
    """What the environment says of it stands."""
    ours = {
        "service.name": service,
        "service.version": __version__,
        "service.instance.id": instance,
    }
    said = OTELResourceDetector().detect().attributes
    return Resource.create({name: value for name, value in ours.items() if name not in said})


def _facts(claim: Claim) -> dict[str, str]:
    """Names are free text, so somebody may have put a key there."""
    named = {
        "automagik.task.id": str(claim.task_id),
        "automagik.flow": without_known(claim.flow_name),
        "automagik.source": without_known(claim.source_name),
    }
    if claim.schedule_name is not None:
        named["automagik.schedule"] = without_known(claim.schedule_name)
    return named


def _waited(claim: Claim) -> float:
    return max(claim.started_at - claim.run_at, timedelta()).total_seconds()


def _of_call(claim: Claim) -> dict[str, str | int]:
    parts = urlsplit(claim.source_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {
        "http.request.method": "POST",
        "url.template": RUN_PATH,
        "server.address": parts.hostname or "",
        "server.port": port,
        "automagik.source": without_known(claim.source_name),
    }


def _parent(text: str | None) -> Context:
    return _propagator.extract({_HEADER: text or ""}, _ROOT)


def _context(text: str | None) -> SpanContext | None:
    found = get_current_span(_parent(text)).get_span_context()
    return found if found.is_valid else None


def _tell_error(span: Span, error: BaseException) -> None:
    _fail(span, error.code if isinstance(error, AutomagikError) else type(error).__name__)
    if isinstance(error, RemoteError) and error.http_status_received is not None:
        span.set_attribute("http.response.status_code", error.http_status_received)


def _fail(span: Span, code: str) -> None:
    span.set_attribute("error.type", code)
    span.set_status(StatusCode.ERROR, code)
