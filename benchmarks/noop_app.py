"""AutoMagik with flows that end at once: `celery -A benchmarks.noop_app worker`.

All else is the product's: claim, attempt, events, log lines, heartbeat, finish.
"""

from collections.abc import Callable
from datetime import timedelta

from automagik.celery import app
from automagik.core.flows.remote import RunAnswer
from automagik.core.tasks.heartbeat import HeldRun
from automagik.core.tasks.ledger import Ledger
from workers import lifecycle

__all__ = ["app"]

_ANSWER = RunAnswer(answer={"outputs": []}, text="done", http_status=200, duration=timedelta())


def _call(run: HeldRun) -> RunAnswer:
    run.log.say("noop", "done")
    return _ANSWER


def _flow_call(ledger: Ledger) -> Callable[[HeldRun], RunAnswer]:  # noqa: ARG001
    return _call


lifecycle.flow_call = _flow_call
