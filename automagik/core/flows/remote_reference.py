"""Which flow of which source a person means, before it is synced."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Self

from automagik.core.database.session import Database
from automagik.core.exceptions import Ambiguous, NotFound
from automagik.core.flows import flow_rows
from automagik.core.flows.reference import known_flow
from automagik.core.flows.remote import RemoteFlows
from automagik.core.flows.remote_flow import FlowHeader
from automagik.core.flows.values import Source

_SHOWN = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A flow to fetch, and from where."""

    source: Source
    remote: RemoteFlows
    remote_id: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """What a source lists, its examples too."""

    source: Source
    remote: RemoteFlows
    headers: Sequence[FlowHeader]

    @classmethod
    def of(cls, source: Source, remote: RemoteFlows) -> Self:
        """Raises RemoteError."""
        headers = remote.list_flows(include_examples=True)
        return cls(source=source, remote=remote, headers=headers)


def find_remote(database: Database, listings: Sequence[Listing], reference: str) -> Wanted:
    """The flow with this id, endpoint name or name; also one that we know by this name or id.

    `SOURCE/FLOW` looks on one source only. Raises NotFound with the nearest names, and Ambiguous.
    """
    reference = reference.strip()
    found = [
        Wanted(source=each.source, remote=each.remote, remote_id=header.id, name=header.name)
        for each in listings
        for header in _meant(database, each, reference)
    ]
    if len(found) > 1:
        shown = ", ".join(f"{w.source.name}/{w.name} ({w.remote_id})" for w in found[:_SHOWN])
        raise Ambiguous(
            f"Flow {reference!r} could be any of: {shown}",
            hint="Write SOURCE/FLOW, name the source with --source, or give the flow's id.",
        )
    if not found:
        names = [header.name for each in listings for header in each.headers]
        close = get_close_matches(reference, names, n=3, cutoff=0.5)
        meant = f"Did you mean {' or '.join(repr(name) for name in close)}?" if close else None
        raise NotFound(
            f"No source has a flow {reference!r}.",
            hint=meant or "Bring in all that there are with: automagik flows sync",
        )
    return found[0]


def _meant(database: Database, listing: Listing, reference: str) -> list[FlowHeader]:
    source_name, slash, rest = reference.partition("/")
    is_on_this = slash and source_name.lower() == listing.source.name.lower()
    return (
        _matches(listing.headers, reference)
        or (_matches(listing.headers, rest) if is_on_this else [])
        or _known(database, listing, reference)
    )


def _matches(headers: Sequence[FlowHeader], reference: str) -> list[FlowHeader]:
    """The flows of the first rule that any flow fulfils."""
    low = reference.lower()
    rules = (
        [h for h in headers if h.id.lower() == low],
        [h for h in headers if h.name == reference],
        [h for h in headers if h.endpoint_name == reference],
        [h for h in headers if h.name.lower() == low],
    )
    return next((found for found in rules if found), [])


def _known(database: Database, listing: Listing, reference: str) -> list[FlowHeader]:
    """By our id, or by the name that it had when it was last synced."""
    with database.transaction() as connection:
        flow_id = known_flow(connection, reference, source_id=listing.source.id)
        remote_id = flow_rows.load(connection, flow_id).remote_id if flow_id else None
    return [header for header in listing.headers if header.id == remote_id]
