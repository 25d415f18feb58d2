"""Running a flow for a connection: plainly, or as a stream that ends when the client leaves."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from automagik.demo.components import Surroundings
from automagik.demo.connection import STREAM_TYPE, Connection
from automagik.demo.engine import FlowFailed, Run
from automagik.demo.flows import Flow
from automagik.demo.messages import JSON
from automagik.demo.request import RunRequest
from automagik.demo.resources import parse_flag
from automagik.demo.world import Refused, World

_TICK_SECONDS = 0.05


class RunAborted(Exception):
    """The client of a stream has gone, or the server stops."""


def answer_run(connection: Connection, world: World, identifier: str) -> None:
    """Answers `POST /api/v1/run/{identifier}`. Raises Refused."""
    streamed = parse_flag(connection.query.get("stream", "false"), name="stream")
    flow = world.flow(identifier)
    if flow is None:
        raise Refused(404, f"Flow identifier {identifier} not found")
    request = RunRequest.read(_parsed(connection.body))
    number = world.journal.begin(
        flow["endpoint_name"] or flow["id"],
        session_id=request.session_id or flow["id"],
        input_value=request.input_value,
        streamed=streamed,
        idempotency_key=connection.headers.get("idempotency-key"),
        traceparent=connection.headers.get("traceparent"),
    )

    def note(outcome: str) -> None:
        world.journal.finish(number, outcome)

    fault = world.faults.get(flow["endpoint_name"])
    if fault:
        note("fault")
        fault(connection, world.stopping)
    elif streamed:
        _stream(connection, world, flow=flow, request=request, note=note)
    else:
        _answer(connection, world, flow=flow, request=request, note=note)


def _answer(
    connection: Connection,
    world: World,
    *,
    flow: Flow,
    request: RunRequest,
    note: Callable[[str], None],
) -> None:
    """A plain run goes on when its client has gone."""
    clash, refused = request.clash(), request.refused_fields()
    if clash or refused:
        note("refused")
        raise Refused(400, clash) if clash else Refused(422, _tweaks_refused(refused))
    surroundings = _surroundings(world, flow, request=request, gone=lambda: False)
    run = Run(flow=flow, request=request, surroundings=surroundings, emit=lambda *_: None)
    try:
        result = run.answer()
    except FlowFailed as failure:
        note("failed")
        raise Refused(500, str(failure)) from None
    except RunAborted:
        note("aborted")
        connection.close_connection = True
        return
    note("completed")
    connection.send_json(200, result)


def _stream(
    connection: Connection,
    world: World,
    *,
    flow: Flow,
    request: RunRequest,
    note: Callable[[str], None],
) -> None:
    def emit(event: str, data: JSON) -> None:
        if connection.client_is_gone():
            raise RunAborted
        connection.send_chunk(f"{json.dumps({'event': event, 'data': data})}\n\n".encode())

    gone = connection.client_is_gone
    surroundings = _surroundings(world, flow, request=request, gone=gone, streaming=True)
    run = Run(flow=flow, request=request, surroundings=surroundings, emit=emit)
    headers = {"content-type": STREAM_TYPE, "transfer-encoding": "chunked"}
    try:
        connection.begin(200, headers=headers)
        outcome, last, data = _run_to_end(run)
        note(outcome)
        emit(last, data)
        connection.send_chunk(b"")
    except (RunAborted, ConnectionError):
        note("aborted")
        connection.close_connection = True


def _run_to_end(run: Run) -> tuple[str, str, JSON]:
    """The outcome of a streamed run and the last event of its stream."""
    if clash := run.request.clash():
        return "refused", "error", {"error": clash}
    if refused := run.request.refused_fields():
        return "refused", "error", {"error": f"422: {_tweaks_refused(refused)}"}
    try:
        return "completed", "end", {"result": run.answer()}
    except FlowFailed as failure:
        return "failed", "error", {"error": f"500: {failure}"}


def _surroundings(
    world: World,
    flow: Flow,
    *,
    request: RunRequest,
    gone: Callable[[], bool],
    streaming: bool = False,
) -> Surroundings:
    def pause(seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if world.stopping.wait(min(left, _TICK_SECONDS)) or gone():
                raise RunAborted

    return Surroundings(
        session_id=request.session_id or flow["id"],
        streaming=streaming,
        pause=pause,
        memory=world.memory,
    )


def _tweaks_refused(fields: list[str]) -> JSON:
    return {
        "error": "Refused tweaks",
        "code": "TWEAKS_REFUSED",
        "message": "A tweak may not set a protected field.",
        "fields": fields,
    }


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        parsed = json.loads(body or b"{}")
    except ValueError:
        raise Refused(422, [_complaint("json_invalid", 1, "JSON decode error")]) from None
    if not isinstance(parsed, dict):
        raise Refused(422, [_complaint("missing", "input_request", "Field required")])
    return parsed


def _complaint(kind: str, place: str | int, message: str) -> JSON:
    return {"type": kind, "loc": ["body", place], "msg": message}
