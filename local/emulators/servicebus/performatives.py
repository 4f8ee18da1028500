"""The frames' bodies and the outcomes: https://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-transport-v1.0-os.html

Every field is written, null where it has no value: the SDK reads fields by their place.
"""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, cast, get_type_hints

from local.emulators.servicebus.encoding import encode
from local.emulators.servicebus.values import (
    Array,
    Described,
    Malformed,
    Symbol,
    UByte,
    UInt,
    ULong,
    UShort,
    Value,
)

type Fields = dict[object, Value]


class AmqpError(Exception):
    """An error with a condition, for a close, an end, a detach or a rejected outcome.

    :param condition: such as `amqp:not-found`
    """

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(description)
        self.condition = condition
        self.description = description

    def described(self) -> Described:
        """The error as it is written."""
        return Described(ULong(0x1D), [Symbol(self.condition), self.description, None])


@dataclass(slots=True)
class Performative:
    """A body with a code, whose fields are written in their order."""

    code: ClassVar[int]

    def encode(self) -> bytes:
        """The described list."""
        return encode(self.described())

    def described(self) -> Described:
        """The described list, before it is written."""
        values = []
        for name, kind in _KINDS[self.code]:
            value = getattr(self, name)
            values.append(kind(value) if value is not None and kind in _CONVERTED else value)
        return Described(ULong(self.code), values)


@dataclass(slots=True)
class Open(Performative):
    """Opens a connection."""

    code = 0x10
    container_id: Annotated[str, str] = ""
    hostname: Annotated[str | None, str] = None
    max_frame_size: Annotated[int, UInt] = 4_294_967_295
    channel_max: Annotated[int, UShort] = 65_535
    idle_timeout: Annotated[int | None, UInt] = None
    outgoing_locales: Annotated[Value, object] = None
    incoming_locales: Annotated[Value, object] = None
    offered_capabilities: Annotated[Value, object] = None
    desired_capabilities: Annotated[Value, object] = None
    properties: Annotated[Fields | None, dict] = None


@dataclass(slots=True)
class Begin(Performative):
    """Begins a session."""

    code = 0x11
    remote_channel: Annotated[int | None, UShort] = None
    next_outgoing_id: Annotated[int, UInt] = 0
    incoming_window: Annotated[int, UInt] = 0
    outgoing_window: Annotated[int, UInt] = 0
    handle_max: Annotated[int, UInt] = 4_294_967_295
    offered_capabilities: Annotated[Value, object] = None
    desired_capabilities: Annotated[Value, object] = None
    properties: Annotated[Fields | None, dict] = None


@dataclass(slots=True)
class Attach(Performative):
    """Attaches a link; `role` is True for a receiver."""

    code = 0x12
    name: Annotated[str, str] = ""
    handle: Annotated[int, UInt] = 0
    role: Annotated[bool, bool] = False
    snd_settle_mode: Annotated[int, UByte] = 2
    rcv_settle_mode: Annotated[int, UByte] = 0
    source: Annotated[Described | None, Described] = None
    target: Annotated[Described | None, Described] = None
    unsettled: Annotated[Value, object] = None
    incomplete_unsettled: Annotated[bool, bool] = False
    initial_delivery_count: Annotated[int | None, UInt] = None
    max_message_size: Annotated[int | None, ULong] = None
    offered_capabilities: Annotated[Value, object] = None
    desired_capabilities: Annotated[Value, object] = None
    properties: Annotated[Fields | None, dict] = None


@dataclass(slots=True)
class Flow(Performative):
    """The state of a session and, with a handle, of a link."""

    code = 0x13
    next_incoming_id: Annotated[int | None, UInt] = None
    incoming_window: Annotated[int, UInt] = 0
    next_outgoing_id: Annotated[int, UInt] = 0
    outgoing_window: Annotated[int, UInt] = 0
    handle: Annotated[int | None, UInt] = None
    delivery_count: Annotated[int | None, UInt] = None
    link_credit: Annotated[int | None, UInt] = None
    available: Annotated[int | None, UInt] = None
    drain: Annotated[bool, bool] = False
    echo: Annotated[bool, bool] = False
    properties: Annotated[Fields | None, dict] = None


@dataclass(slots=True)
class Transfer(Performative):
    """A message or a part of one; its bytes follow the body."""

    code = 0x14
    handle: Annotated[int, UInt] = 0
    delivery_id: Annotated[int | None, UInt] = None
    delivery_tag: Annotated[bytes | None, bytes] = None
    message_format: Annotated[int | None, UInt] = None
    settled: Annotated[bool | None, bool] = None
    more: Annotated[bool, bool] = False
    rcv_settle_mode: Annotated[int | None, UByte] = None
    state: Annotated[Described | None, Described] = None
    resume: Annotated[bool, bool] = False
    aborted: Annotated[bool, bool] = False
    batchable: Annotated[bool, bool] = False


@dataclass(slots=True)
class Disposition(Performative):
    """What became of deliveries."""

    code = 0x15
    role: Annotated[bool, bool] = False
    first: Annotated[int, UInt] = 0
    last: Annotated[int | None, UInt] = None
    settled: Annotated[bool, bool] = False
    state: Annotated[Described | None, Described] = None
    batchable: Annotated[bool, bool] = False


@dataclass(slots=True)
class Detach(Performative):
    """Detaches a link."""

    code = 0x16
    handle: Annotated[int, UInt] = 0
    closed: Annotated[bool, bool] = False
    error: Annotated[Described | None, Described] = None


@dataclass(slots=True)
class End(Performative):
    """Ends a session."""

    code = 0x17
    error: Annotated[Described | None, Described] = None


@dataclass(slots=True)
class Close(Performative):
    """Closes a connection."""

    code = 0x18
    error: Annotated[Described | None, Described] = None


@dataclass(slots=True)
class SaslMechanisms(Performative):
    """How a client may sign in."""

    code = 0x40
    mechanisms: Annotated[Array | None, Array] = None


@dataclass(slots=True)
class SaslInit(Performative):
    """How a client signs in."""

    code = 0x41
    mechanism: Annotated[str, Symbol] = ""
    initial_response: Annotated[bytes | None, bytes] = None
    hostname: Annotated[str | None, str] = None


@dataclass(slots=True)
class SaslOutcome(Performative):
    """Whether it may; 0 is yes."""

    code = 0x44
    outcome: Annotated[int, UByte] = 0
    additional_data: Annotated[bytes | None, bytes] = None


_CONVERTED: Final = frozenset({UByte, UShort, UInt, ULong, Symbol})
_MANDATORY: Final = {
    Open: 1,
    Attach: 3,
    Transfer: 1,
    Disposition: 2,
    Detach: 1,
    SaslInit: 1,
}  # how many of the first fields have to be there
BY_CODE: Final[dict[int, type[Performative]]] = {
    each.code: each
    for each in cast(
        tuple[type[Performative], ...],
        (Open, Begin, Attach, Flow, Transfer, Disposition, Detach, End, Close, SaslMechanisms, SaslInit, SaslOutcome),
    )
}


def _kinds(kind: type[Performative]) -> tuple[tuple[str, type], ...]:
    hints = get_type_hints(kind, include_extras=True)
    return tuple((each.name, hints[each.name].__metadata__[0]) for each in dataclasses.fields(kind))


_KINDS: Final = {code: _kinds(kind) for code, kind in BY_CODE.items()}  # names and types on the wire, in order


def performative_of(value: Value) -> Performative:
    """The performative that a decoded value is.

    :raises Malformed: it is none, or a field is missing, unknown or of another type
    """
    if not isinstance(value, Described) or not isinstance(value.value, list):
        raise Malformed("A frame's body is no described list.")
    kind = BY_CODE.get(value.descriptor) if isinstance(value.descriptor, ULong) else None
    if kind is None:
        raise Malformed(f"There is no performative {value.descriptor!r}.")
    fields = _KINDS[kind.code]
    if len(value.value) > len(fields):
        raise Malformed(f"A {kind.__name__} has {len(fields)} fields, not {len(value.value)}.")
    given: dict[str, Value] = {}
    for place, ((name, type_), part) in enumerate(zip(fields, value.value, strict=False)):
        if part is None:
            if place < _MANDATORY.get(kind, 0):
                raise Malformed(f"A {kind.__name__} needs its {name}.")
        elif not isinstance(part, type_):
            raise Malformed(f"The {name} of a {kind.__name__} is no {type(part).__name__}.")
        else:
            given[name] = part
    if len(value.value) < _MANDATORY.get(kind, 0):
        raise Malformed(f"A {kind.__name__} needs more than {len(value.value)} fields.")
    return kind(**given)


def terminus(code: int, address: str | None) -> Described:
    """A source (0x28) or target (0x29) with an address."""
    return Described(ULong(code), [address, UInt(0), Symbol("session-end"), UInt(0), False])


def address_of(end: Described | None) -> str | None:
    """The address in a source or target."""
    if end is None or not isinstance(end.value, list) or not end.value:
        return None
    address = end.value[0]
    return address if isinstance(address, str) else None


ACCEPTED: Final = Described(ULong(0x24), [])
REJECTED: Final = Described(ULong(0x25), [None])
RELEASED: Final = Described(ULong(0x26), [])


def rejected(error: AmqpError) -> Described:
    """The outcome that says why not."""
    return Described(ULong(0x25), [error.described()])
