"""Log records as lines: structlog renders what the standard library's loggers are told.

Imported by long-running processes only, before their first line.
"""

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from automagik.core.logs.log_format import LogFormat
from automagik.core.logs.redaction import redact, redacted, without_known
from automagik.core.logs.subject import Facts, speaker, subject


@contextmanager
def _without_rich() -> Iterator[None]:
    """Structlog imports rich for tracebacks that are not used here: 3 MB, and longer than itself.

    It takes None for a library that is not installed.
    """
    if "rich" in sys.modules:
        yield
        return
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["rich"]


with _without_rich():
    from structlog.dev import ConsoleRenderer, plain_traceback
    from structlog.processors import JSONRenderer, format_exc_info
    from structlog.stdlib import ExtraAdder, ProcessorFormatter
    from structlog.typing import EventDict, Processor, WrappedLogger

_META = frozenset({"_record", "_from_structlog", "event", "data"})
_EVENT_WIDTH = 40
_encode = json.JSONEncoder(default=repr).encode


def formatter(form: LogFormat, *, colors: bool = False) -> logging.Formatter:
    """For handlers; `form` is JSON or console."""
    chain: list[Processor] = [ExtraAdder(), format_exc_info, _line]
    return ProcessorFormatter(processors=[*chain, _renderer(form, colors=colors)])


def _renderer(form: LogFormat, *, colors: bool) -> Processor:
    if form is LogFormat.JSON:
        return JSONRenderer(serializer=lambda line, **_: _encode(line))
    return ConsoleRenderer(
        colors=colors,
        timestamp_key="ts",
        sort_keys=False,
        pad_event_to=_EVENT_WIDTH,
        exception_formatter=plain_traceback,
    )


def _line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The line as it is to be read, in the order of its fields."""
    record: logging.LogRecord = event["_record"]
    rest = {name: redacted(name, value) for name, value in event.items() if name not in _META}
    return {
        "ts": _instant(record),
        "level": record.levelname.lower(),
        "event": redact(str(event["event"])),
        "logger": record.name,
        "pid": record.process,
        **speaker(),
        **_run(record),
        **rest,
    }


def _instant(record: logging.LogRecord) -> str:
    """RFC 3339."""
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.created % 1 * 1000):03d}Z"


def _run(record: logging.LogRecord) -> Facts:
    """What the line is about, as far as its thread or Celery knows it."""
    told, known = _told_by_celery(record), subject()
    run = told | known if told.get("task_id") in (known.get("task_id"), None) else told
    for name in ("flow", "schedule"):
        if name in run:
            run[name] = without_known(str(run[name]))
    return run


def _told_by_celery(record: logging.LogRecord) -> Facts:
    """Some lines of its own are about a run that their thread is not about."""
    data: Any = getattr(record, "data", None)
    if not isinstance(data, dict) or not {"id", "name"} <= data.keys():
        return {}
    told: Facts = {"task_id": str(data["id"])}
    # As beats name them: workers/ready_queue.py.
    for key, name in (("args", "flow"), ("kwargs", "schedule")):
        label, _, value = str(data.get(key, "")).partition("=")
        if label == name and value != "-":
            told[name] = value
    if "runtime" in data:
        told["seconds"] = round(data["runtime"], 6)
    return told
