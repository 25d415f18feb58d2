"""Sources and flows, as commands print them."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from automagik.core.flows.analyzer import FlowAnalysis
from automagik.core.flows.sync_report import Role, SyncedFlow
from automagik.core.flows.values import Flow, Source
from docs.json_schema import Keys, Told, keys_of
from docs.json_thing import Thing


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """An error that is a part of the answer."""

    code: str
    detail: str
    hint: str | None


_FLOW: Keys = keys_of(Flow) | {"status": Literal["ready", "choice needed", "gone"]}
FLOWS = (
    Thing(
        name="source",
        about="A LangFlow server, never with its API key.",
        keys=keys_of(Source),
        listed_by=("sources list",),
        told_by=("sources add", "sources show", "sources update"),
    ),
    Thing(
        name="source-check",
        about="What a source says when it is asked.",
        keys={
            "name": str,
            "url": str,
            "reachable": bool,
            "version": str | None,
            "key_valid": Told(bool | None, "None when that could not be found out."),
            "latency_seconds": float | None,
            "flows": Told(int | None, "How many flows the key sees."),
            "error": Trouble | None,
        },
        told_by=("sources test",),
    ),
    Thing(
        name="flow",
        about="A flow that was synced.",
        keys=_FLOW,
        listed_by=("flows list",),
        told_by=("flows update",),
    ),
    Thing(
        name="flow-report",
        about="A flow with its components.",
        keys={**_FLOW, **keys_of(FlowAnalysis)},
        told_by=("flows show",),
    ),
    Thing(
        name="synced-flow",
        about="What became of a flow in a sync.",
        keys={
            **keys_of(SyncedFlow, without=("flow_id", "error", "choices")),
            "id": UUID | None,
            "choices": [{"role": Role, "candidates": list[str]}],
            "error": Trouble | None,
        },
        listed_by=("flows sync",),
    ),
)
