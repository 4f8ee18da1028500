"""Spans: what was done, when and for how long, as part of which operation (https://www.w3.org/TR/trace-context/).

A request begins an operation. It travels as a `traceparent` text: in the outbox document that a commit writes, in the
property `Diagnostic-Id` of the message, to the functions that consume it. Nothing here knows who collects spans: an
exporter does, and without one no span is made and nothing travels.
"""

import random
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Final, Protocol

type Attribute = str | int | float | bool

DIAGNOSTIC_ID: Final = "Diagnostic-Id"  # the application property that Azure's SDKs and its Functions host use
TRACE_PARENT_CHARACTERS: Final = 55  # of version 00; a later version may go on after a `-`
_TRACE_PARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")
_NOBODY: Final = {"0" * 32, "0" * 16}


@unique
class SpanKind(StrEnum):
    """Whose time a span tells of: ours for a request or a message, or that of somebody we asked or sent to."""

    SERVER = "server"
    CONSUMER = "consumer"
    CLIENT = "client"
    PRODUCER = "producer"


@dataclass(slots=True)
class Span:
    """Something that was done.

    :param parent_id: of the span it was done for; empty for the first of its operation
    :param started_at: seconds since the epoch
    :param ok: whether it succeeded; a refusal is an answer, and so a success
    """

    name: str
    kind: SpanKind
    trace_id: str
    span_id: str
    parent_id: str
    started_at: float
    seconds: float = 0.0
    ok: bool = True
    attributes: dict[str, Attribute] = field(default_factory=dict)

    @property
    def trace_parent(self) -> str:
        """As it is told to whoever goes on with it."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if _to.samples(self.trace_id) else '00'}"


@dataclass(frozen=True, slots=True)
class BusinessEvent:
    """Something that matters to the business, told once.

    :param properties: ids and other words from small sets
    :param measurements: numbers one may want to add up
    :param trace_id: empty outside an operation
    """

    name: str
    properties: Mapping[str, str]
    measurements: Mapping[str, float]
    trace_id: str
    span_id: str
    at: float


class Exporter(Protocol):
    """Who collects spans and events. None of its methods may block or raise: requests call them."""

    def span(self, span: Span) -> None:
        """Take a span that has ended."""
        ...

    def event(self, event: BusinessEvent) -> None:
        """Take a business event."""
        ...

    def close(self, seconds: float) -> None:
        """Send what is kept, for at most `seconds`; what is not sent by then is lost."""
        ...


class _Destination:
    """Where spans go, and how many of them."""

    exporter: Exporter | None = None
    sampling_ratio: float = 1.0

    def samples(self, trace_id: str) -> bool:
        """Whether an operation is collected: decided by its id, so that all processes decide alike."""
        return self.sampling_ratio >= 1.0 or int(trace_id[-8:], 16) < self.sampling_ratio * 2**32


_to: Final = _Destination()
_current: Final[ContextVar[Span | None]] = ContextVar("span", default=None)


def export_to(exporter: Exporter | None, *, sampling_ratio: float = 1.0) -> None:
    """Collect spans and events with `exporter` from now on; with None, collect nothing.

    :param sampling_ratio: the share of operations whose spans are collected, 0 to 1; events and metrics all are
    """
    _to.exporter, _to.sampling_ratio = exporter, sampling_ratio


def trace_parent() -> str:
    """The present span as a `traceparent`; empty outside an operation, and where nothing is collected."""
    span_ = _current.get()
    return "" if span_ is None else span_.trace_parent


def begin(
    name: str, kind: SpanKind, *, parent: str = "", attributes: Mapping[str, Attribute] | None = None
) -> Span | None:
    """A span that begins now, for `finish`; None where nothing is collected.

    :param parent: the `traceparent` it continues; where it is empty or malformed, the present span is continued, and
        where there is none a new operation begins. A request (`SpanKind.SERVER`) begins one in any case, as its
        `traceparent` is a stranger's, who could pour requests into an operation or choose what is sampled; theirs is
        kept as the attribute `caller`.
    """
    if _to.exporter is None:
        return None
    told = dict(attributes or {})
    if kind is SpanKind.SERVER:
        if _read(parent) is not None:
            told["caller"] = parent[:TRACE_PARENT_CHARACTERS]
        parent = ""
    trace_id, parent_id = _continued(parent)
    return Span(name, kind, trace_id, _hex(64), parent_id, time.time(), attributes=told)


def finish(span_: Span) -> None:
    """Hand a span whose `seconds` are known to the exporter, if its operation is sampled."""
    if _to.exporter is not None and _to.samples(span_.trace_id):
        _to.exporter.span(span_)


def enter(span_: Span) -> Token[Span | None]:
    """Make a span the present one; what it gives is for `leave`."""
    return _current.set(span_)


def leave(token: Token[Span | None]) -> None:
    """Make the span before it the present one again."""
    _current.reset(token)


@contextmanager
def span(name: str, kind: SpanKind = SpanKind.CLIENT, *, parent: str = "", **attributes: Attribute) -> Iterator[None]:
    """Trace the block: what it does belongs to this span; an exception makes it a failure, told by its class alone.

    :param parent: see `begin`
    """
    begun = begin(name, kind, parent=parent, attributes=attributes)
    if begun is None:
        yield
        return
    token, clock = enter(begun), time.perf_counter()
    try:
        yield
    except BaseException as error:
        begun.ok = False
        begun.attributes["error"] = type(error).__name__
        raise
    finally:
        leave(token)
        begun.seconds = time.perf_counter() - clock
        finish(begun)


def adopt(parent: str) -> None:
    """Make the present span part of the operation it turns out to belong to, as something stored tells.

    For the first thing a function does: what it traced before stays where it was.

    :param parent: a `traceparent`; empty or malformed, and the span stays where it is
    """
    current, found = _current.get(), _read(parent)
    if current is None or found is None or found[0] == current.trace_id:
        return
    current.attributes["began_in"] = current.trace_id
    current.trace_id, current.parent_id = found


def business_event(name: str, properties: Mapping[str, str], measurements: Mapping[str, float] | None = None) -> None:
    """Tell of something that matters to the business, as part of the present operation.

    :param name: of a published event, e.g. `OrderPaid`
    :param properties: ids and words from small sets, nothing personal
    """
    if _to.exporter is None:
        return
    current = _current.get()
    ids = ("", "") if current is None else (current.trace_id, current.span_id)
    _to.exporter.event(BusinessEvent(name, properties, measurements or {}, *ids, at=time.time()))


def _read(parent: str) -> tuple[str, str] | None:
    """The ids in a `traceparent`, if it is one."""
    found = _TRACE_PARENT.fullmatch(parent) if parent else None
    if found is None or (parent.startswith("00-") and len(parent) != TRACE_PARENT_CHARACTERS):
        return None
    if not _NOBODY.isdisjoint(found.groups()):
        return None
    return found.group(1), found.group(2)


def _continued(parent: str) -> tuple[str, str]:
    """The ids of an operation and of the span in it that is continued."""
    found = _read(parent)
    if found is not None:
        return found
    current = _current.get()
    return (_hex(128), "") if current is None else (current.trace_id, current.span_id)


def _hex(bits: int) -> str:
    """An id. It names, it guards nothing: so the kernel need not be asked for randomness."""
    return f"{random.getrandbits(bits) or 1:0{bits // 4}x}"
