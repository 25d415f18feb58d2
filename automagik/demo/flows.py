"""The flows a demo server starts with, and flows read from files.

A definition is what `GET /api/v1/flows/{id}` of LangFlow 1.13 returns, as far as anybody reads it.
"""

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

Flow = dict[str, Any]

USER_ID = "0d9b3c5e-5f0e-4a57-9a52-3d2f6b1c7a10"
FOLDER_ID = "5b8a1f0e-2c5d-4a7e-8b39-6e4f9d0c2a11"


def built_in_flows() -> list[Flow]:
    """Echo, Slow, Failing and Flaky."""
    return [
        _chat_flow(
            "Echo",
            flow_id="8f14e45f-ceea-467f-a0e6-1f3a5b6c7d01",
            description="Answers with its input.",
        ),
        _chat_flow(
            "Slow",
            flow_id="8f14e45f-ceea-467f-a0e6-1f3a5b6c7d02",
            description="Waits some seconds, then answers.",
            step=_node(
                "SleepComponent-slow",
                display_name="Sleep",
                fields=[_input(), _field("seconds", "float", 2.0, label="Seconds")],
            ),
        ),
        _chat_flow(
            "Failing",
            flow_id="8f14e45f-ceea-467f-a0e6-1f3a5b6c7d03",
            description="Fails on every run.",
            step=_node(
                "FailComponent-fail",
                display_name="Fail",
                fields=[
                    _input(),
                    _field("kind", "str", "ValueError", label="Kind of error"),
                    _field("message", "str", "deliberate failure", label="Text of the error"),
                ],
            ),
        ),
        _chat_flow(
            "Flaky",
            flow_id="8f14e45f-ceea-467f-a0e6-1f3a5b6c7d04",
            description="Fails some times in each session, then answers.",
            step=_node(
                "FlakyComponent-flaky",
                display_name="Flaky",
                fields=[
                    _input(),
                    _field("failures", "int", 2, label="Failures before the answer"),
                    _field("key", "str", "", label="What to count by; empty: the session"),
                ],
            ),
        ),
    ]


def load_flows(folder: Path) -> list[Flow]:
    """The flows in the `*.json` files of a folder. Raises OSError, ValueError."""
    flows = []
    for file in sorted(folder.glob("*.json")):
        flow = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(flow, dict) or not {"id", "name", "data"} <= flow.keys():
            raise ValueError(f"{file} is no flow: it has no id, name and data")
        flows.append(_complete(flow))
    return flows


def merged(flows: Iterable[Flow], over: Iterable[Flow]) -> list[Flow]:
    """Both, without those of `over` whose id or endpoint name one of `flows` takes."""
    first = list(flows)
    taken = {flow["id"] for flow in first} | {flow["endpoint_name"] for flow in first}
    return first + [f for f in over if not {f["id"], f["endpoint_name"]} & taken]


def _chat_flow(name: str, *, flow_id: str, description: str, step: Flow | None = None) -> Flow:
    """Chat input, at most one step, chat output, in a line."""
    nodes = [_chat_input(name.lower()), *([step] if step else []), _chat_output(name.lower())]
    edges = [_edge(a, b) for a, b in pairwise(nodes)]
    for column, node in enumerate(nodes):
        node["position"] = {"x": 80 + 380 * column, "y": 120}
    return _complete(
        {
            "id": flow_id,
            "name": name,
            "description": description,
            "endpoint_name": name.lower(),
            "tags": ["demo"],
            "data": {"nodes": nodes, "edges": edges, "viewport": {"x": 0, "y": 0, "zoom": 1}},
        }
    )


def _complete(flow: Flow) -> Flow:
    """Adds what the file of a flow leaves out and the server's answer has."""
    nodes = (flow["data"] or {}).get("nodes", [])
    return {
        "description": None,
        "icon": None,
        "icon_bg_color": None,
        "gradient": None,
        "is_component": False,
        "updated_at": "2026-01-01T00:00:00+00:00",
        "webhook": any(node["data"].get("type") == "Webhook" for node in nodes),
        "endpoint_name": None,
        "tags": [],
        "locked": False,
        "mcp_enabled": False,
        "action_name": None,
        "action_description": None,
        "access_type": "PRIVATE",
        "flow_type": "workflow",
        "a2a_enabled": False,
        "a2a_card_overrides": None,
        "user_id": USER_ID,
        "folder_id": FOLDER_ID,
        "workspace_id": None,
        "name_key": None,
        "version_token": flow["id"],
        **{name: value for name, value in flow.items() if name != "last_tested_version"},
    }


def _chat_input(suffix: str) -> Flow:
    fields = [
        _field("input_value", "str", "", label="Input Text"),
        _field("sender", "str", "User", label="Sender Type", advanced=True),
        _field("sender_name", "str", "User", label="Sender Name", advanced=True),
        _field("session_id", "str", "", label="Session ID", advanced=True),
    ]
    return _node(
        f"ChatInput-{suffix}", display_name="Chat Input", fields=fields, output_name="message"
    )


def _chat_output(suffix: str) -> Flow:
    fields = [
        _input(),
        _field("sender", "str", "Machine", label="Sender Type", advanced=True),
        _field("sender_name", "str", "AI", label="Sender Name", advanced=True),
        _field("session_id", "str", "", label="Session ID", advanced=True),
    ]
    return _node(
        f"ChatOutput-{suffix}", display_name="Chat Output", fields=fields, output_name="message"
    )


def _node(
    node_id: str, *, display_name: str, fields: list[Flow], output_name: str = "output"
) -> Flow:
    output = {
        "name": output_name,
        "display_name": output_name.capitalize(),
        "types": ["Message"],
        "selected": "Message",
        "value": "__UNDEFINED__",
        "hidden": None,
    }
    component = {
        "display_name": display_name,
        "description": "",
        "base_classes": ["Message"],
        "field_order": [field["name"] for field in fields],
        "template": {"_type": "Component", **{field["name"]: field for field in fields}},
        "outputs": [output],
        "frozen": False,
    }
    data = {"id": node_id, "type": node_id.partition("-")[0], "node": component}
    return {"id": node_id, "type": "genericNode", "data": data}


def _input() -> Flow:
    return {**_field("input_value", "str", "", label="Input"), "input_types": ["Message"]}


def _field(name: str, type_: str, value: Any, *, label: str, advanced: bool = False) -> Flow:
    return {
        "name": name,
        "type": type_,
        "value": value,
        "display_name": label,
        "advanced": advanced,
        "info": "",
        "list": False,
        "load_from_db": False,
        "password": False,
        "required": False,
        "show": True,
    }


def _edge(source: Flow, target: Flow) -> Flow:
    output = source["data"]["node"]["outputs"][0]
    handles = {
        "sourceHandle": {
            "dataType": source["data"]["type"],
            "id": source["id"],
            "name": output["name"],
            "output_types": output["types"],
        },
        "targetHandle": {
            "fieldName": "input_value",
            "id": target["id"],
            "inputTypes": ["Message"],
            "type": "str",
        },
    }
    return {
        "id": f"reactflow__edge-{source['id']}-{target['id']}",
        "source": source["id"],
        "target": target["id"],
        "data": handles,
    }
