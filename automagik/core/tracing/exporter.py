"""Sends spans, and says in one line when nobody takes them."""

import logging
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

logger = logging.getLogger(__name__)

# By itself it tells of every try and quotes what the other side says.
logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)


class Exporter(SpanExporter):
    """To where the variables of OpenTelemetry say, with their headers, timeout and compression."""

    def __init__(self) -> None:
        self._otlp = OTLPSpanExporter()
        self._is_heard = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._otlp.export(spans)
        is_heard = result is SpanExportResult.SUCCESS
        if self._is_heard and not is_heard:
            logger.warning("Traces are dropped: their receiver does not take them. Runs go on.")
        if is_heard and not self._is_heard:
            logger.info("The receiver takes traces again.")
        self._is_heard = is_heard
        return result

    def shutdown(self) -> None:
        self._otlp.shutdown()  # type: ignore[no-untyped-call]
