"""An operation as a tree: what was done for what, in the order it began. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

_SPANS: Final = {"RequestData", "RemoteDependencyData"}
SHOWN: Final = {*_SPANS, "EventData"}  # what an operation is made of
_METHODS: Final = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
DEPTH_MAX: Final = 100


@dataclass(slots=True)
class Node:
    """A request, a dependency or an event.

    :param start_ms: after the operation began
    :param orphan: it names a parent that never came
    """

    id: str
    parent_id: str
    kind: str
    name: str
    started_at: datetime
    milliseconds: float
    ok: bool
    role: str
    properties: dict[str, Any]
    start_ms: float = 0.0
    depth: int = 0
    orphan: bool = False
    children: list["Node"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Operation:
    """All of one operation.

    :param nodes: in the order of the tree, each with its depth
    """

    id: str
    name: str
    started_at: datetime
    milliseconds: float
    failures: int
    nodes: Sequence[Node]


def moment_of(envelope: dict[str, Any]) -> datetime:
    """When an envelope's span began or its event happened; without an offset it is UTC.

    :raises ValueError: its time is none
    """
    moment = datetime.fromisoformat(str(envelope["time"]))
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def is_http(envelope: dict[str, Any]) -> bool:
    """Whether an envelope tells of an HTTP request that came in: by its name, `GET /path`, as on Azure's own pages."""
    name = str(envelope["data"]["baseData"].get("name", ""))
    return envelope["data"]["baseType"] == "RequestData" and name.partition(" ")[0] in _METHODS


def operation_of(id_: str, envelopes: Iterable[dict[str, Any]]) -> Operation:
    """The operation its envelopes tell of; a copy of a span (a batch sent twice) is shown once."""
    nodes = [_node(each) for each in envelopes if each["data"]["baseType"] in SHOWN]
    spans = {node.id: node for node in nodes if node.kind != "event"}
    nodes = sorted([*spans.values(), *(node for node in nodes if node.kind == "event")], key=lambda n: n.started_at)
    roots: list[Node] = []
    for node in nodes:
        parent = spans.get(node.parent_id)
        node.orphan = bool(node.parent_id) and parent is None
        (parent.children if parent is not None else roots).append(node)
    ordered = list(_walked(roots))
    began = min((node.started_at for node in nodes), default=datetime.fromtimestamp(0, UTC))
    ended = max((node.started_at + timedelta(milliseconds=node.milliseconds) for node in nodes), default=began)
    for node in ordered:
        node.start_ms = (node.started_at - began).total_seconds() * 1000
    return Operation(
        id=id_,
        name=next((node.name for node in ordered if node.kind != "event"), ""),
        started_at=began,
        milliseconds=(ended - began).total_seconds() * 1000,
        failures=sum(not node.ok for node in ordered),
        nodes=ordered,
    )


def _walked(nodes: Sequence[Node], depth: int = 0) -> Iterable[Node]:
    if depth > DEPTH_MAX:
        return
    for node in nodes:
        node.depth = depth
        yield node
        yield from _walked(node.children, depth + 1)


def _node(envelope: dict[str, Any]) -> Node:
    told, tags = envelope["data"]["baseData"], envelope.get("tags") or {}
    kind = {"RequestData": "request", "RemoteDependencyData": "dependency"}.get(envelope["data"]["baseType"], "event")
    return Node(
        id=str(told.get("id", "")),
        parent_id=str(tags.get("ai.operation.parentId") or ""),
        kind=kind,
        name=str(told.get("name", "")),
        started_at=moment_of(envelope),
        milliseconds=_milliseconds(str(told.get("duration", "0.00:00:00"))),
        ok=bool(told.get("success", True)),
        role=str(tags.get("ai.cloud.role", "")),
        properties=dict(told.get("properties") or {}),
    )


def _milliseconds(duration: str) -> float:
    """Of `days.hours:minutes:seconds.fraction`."""
    days, _, clock = duration.partition(".")
    hours, minutes, seconds = clock.split(":")
    return (((int(days) * 24 + int(hours)) * 60 + int(minutes)) * 60 + float(seconds)) * 1000
