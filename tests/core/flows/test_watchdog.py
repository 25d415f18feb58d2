"""Deadlines of calls."""

from datetime import timedelta
from threading import Thread

import pytest

from automagik.core.flows import watchdog
from automagik.core.flows.run_handle import AbortReason, RunHandle
from automagik.core.flows.watchdog import ended_after
from tests.core.embedded.patience import eventually

SOON = timedelta(milliseconds=10)


def test_a_host_that_refused_a_thread_once_does_not_switch_deadlines_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watchdog._watchdog.forget()
    refused, handle = RunHandle(), RunHandle()

    def refuse(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(Thread, "start", refuse)
        with pytest.raises(RuntimeError), ended_after(SOON, refused):
            pass

    with ended_after(SOON, handle):
        assert eventually(lambda: handle.reason is AbortReason.DEADLINE, seconds=10)
    assert refused.reason is None
