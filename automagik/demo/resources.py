"""What can be read from a demo server: its health, its user, its flows, its journal."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from automagik.demo.flows import USER_ID, Flow
from automagik.demo.world import Refused, World

VERSION = "1.13.0"
PACKAGE = "AutoMagik demo (LangFlow-compatible)"

Query = Mapping[str, str]
Resource = Callable[[World, Query, str], Any]
"""Gets the query and what the path ends in."""

_HEADER_FIELDS = (
    "id",
    "name",
    "folder_id",
    "is_component",
    "endpoint_name",
    "description",
    "access_type",
    "tags",
    "mcp_enabled",
    "flow_type",
    "a2a_enabled",
    "a2a_card_overrides",
    "action_name",
    "action_description",
    "updated_at",
)

_OPT_INS = ("github_starred", "dialog_dismissed", "discord_clicked")


def find_resource(path: str, *, public: bool) -> tuple[Resource, str] | None:
    """The resource at a path and what its pattern leaves open; public ones need no key."""
    for pattern, resource in (_PUBLIC if public else _PRIVATE).items():
        match = re.fullmatch(pattern, path)
        if match:
            return resource, match[match.lastindex or 0]
    return None


def _health(_: World, __: Query, ___: str) -> Any:
    return {"status": "ok"}


def _health_check(_: World, __: Query, ___: str) -> Any:
    return {"status": "ok", "chat": "ok", "db": "ok"}


def _version(_: World, __: Query, ___: str) -> Any:
    return {"version": VERSION, "main_version": VERSION, "package": PACKAGE}


def _whoami(_: World, __: Query, ___: str) -> Any:
    since = "2026-01-01T00:00:00Z"
    return {
        "id": USER_ID,
        "username": "demo",
        "profile_image": None,
        "store_api_key": None,
        "is_active": True,
        "is_superuser": False,
        "create_at": since,
        "updated_at": since,
        "last_login_at": since,
        "optins": dict.fromkeys(_OPT_INS, False),
    }


def _flows(world: World, query: Query, _: str) -> Any:
    flows = [f for f in world.flows if f["is_component"] or not _flag(query, "components_only")]
    if _flag(query, "components_only"):
        flows = [flow for flow in flows if flow["is_component"]]
    shown = [_header(f) for f in flows] if _flag(query, "header_flows") else flows
    if _flag(query, "get_all", default=True):
        return shown
    page, size = _number(query, "page", default=1), _number(query, "size", default=50, most=100)
    return {
        "items": shown[(page - 1) * size : page * size],
        "total": len(shown),
        "page": page,
        "size": size,
        "pages": -(-len(shown) // size),
    }


def _flow(world: World, _: Query, identifier: str) -> Any:
    try:
        wanted = str(UUID(identifier))
    except ValueError as error:
        message = f"Input should be a valid UUID, {error}"
        raise _unfit("uuid_parsing", ["path", "flow_id"], message) from None
    flow = next((flow for flow in world.flows if flow["id"] == wanted), None)
    if flow is None:
        raise Refused(404, "Flow not found")
    return flow


def _runs(world: World, _: Query, __: str) -> Any:
    return [record.as_json() for record in world.journal.runs]


def parse_flag(text: str, *, name: str) -> bool:
    """A boolean of a query. Raises Refused."""
    known = {"1": True, "true": True, "yes": True, "on": True}
    known |= {"0": False, "false": False, "no": False, "off": False}
    if text.lower() not in known:
        message = "Input should be a valid boolean, unable to interpret input"
        raise _unfit("bool_parsing", ["query", name], message)
    return known[text.lower()]


def _flag(query: Query, name: str, *, default: bool = False) -> bool:
    return parse_flag(query[name], name=name) if name in query else default


def _number(query: Query, name: str, *, default: int, most: int | None = None) -> int:
    text = query.get(name, str(default))
    place = ["query", name]
    if not text.lstrip("-").isdecimal():
        message = "Input should be a valid integer, unable to parse string as an integer"
        raise _unfit("int_parsing", place, message)
    if int(text) < 1:
        message = "Input should be greater than or equal to 1"
        raise _unfit("greater_than_equal", place, message, ctx={"ge": 1})
    if most is not None and int(text) > most:
        message = f"Input should be less than or equal to {most}"
        raise _unfit("less_than_equal", place, message, ctx={"le": most})
    return int(text)


def _unfit(kind: str, place: list[str], message: str, **more: Any) -> Refused:
    return Refused(422, [{"type": kind, "loc": place, "msg": message, **more}])


def _header(flow: Flow) -> Flow:
    return {**{name: flow[name] for name in _HEADER_FIELDS}, "data": None}


_PUBLIC: dict[str, Resource] = {
    "/health": _health,
    "/healthz?_?(?:check)?": _health_check,
    "/api/v1/version": _version,
}
_PRIVATE: dict[str, Resource] = {
    "/api/v1/users/whoami": _whoami,
    "/api/v1/flows/": _flows,
    "/api/v1/flows/([^/]+)": _flow,
    "/demo/runs": _runs,
}
