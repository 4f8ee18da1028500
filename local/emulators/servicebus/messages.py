"""Messages as Service Bus stores them: what the sender wrote stays as it was, byte for byte.

What the bus adds when it hands a message out (delivery count, annotations, why it is dead) replaces or extends sections
of the encoded message. https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide#messages
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from local.emulators.servicebus.decoding import Reader
from local.emulators.servicebus.encoding import encode, map_of
from local.emulators.servicebus.values import (
    Described,
    Malformed,
    Symbol,
    Timestamp,
    UInt,
    ULong,
    Value,
)

HEADER, DELIVERY_ANNOTATIONS, ANNOTATIONS, PROPERTIES, APPLICATION = 0x70, 0x71, 0x72, 0x73, 0x74
DATA, SEQUENCE, VALUE, FOOTER = 0x75, 0x76, 0x77, 0x78
BATCH_FORMAT: Final = 0x80013700  # one encoded message per data section
_SECTIONS: Final = frozenset(range(HEADER, FOOTER + 1))
_SCHEDULED: Final = Symbol("x-opt-scheduled-enqueue-time")
_BUS_ANNOTATIONS: Final = frozenset(
    f"x-opt-{name}"
    for name in (
        "enqueued-time",
        "sequence-number",
        "enqueue-sequence-number",
        "locked-until",
        "lock-token",
        "message-state",
        "deadletter-source",
    )
)


@dataclass(frozen=True, slots=True)
class Parts:
    """A message taken apart.

    :param annotations: the sender's, without what only the bus says
    :param application: None where there are none
    :param encoded: the sections as they were sent, by their codes and in their order
    """

    header: list[Value]
    annotations: Mapping[object, Value]
    properties: list[Value]
    application: Mapping[object, Value] | None
    encoded: tuple[tuple[int, bytes], ...]

    @property
    def message_id(self) -> Value:
        """The message's id: a text, a number, a UUID or bytes; None without one."""
        return self.properties[0] if self.properties else None

    def text(self, place: int) -> str | None:
        """The text at a place of the properties."""
        value = self.properties[place] if len(self.properties) > place else None
        return value if isinstance(value, str) else None

    @property
    def scheduled_for(self) -> datetime | None:
        """When the message is to be enqueued.

        :raises Malformed: the annotation is no moment
        """
        value = self.annotations.get(_SCHEDULED)
        if value is None:
            return None
        if not isinstance(value, Timestamp):
            raise Malformed(f"{_SCHEDULED} is no timestamp.")
        try:
            return datetime.fromtimestamp(value / 1000, UTC)
        except (ValueError, OverflowError, OSError):
            raise Malformed(f"{_SCHEDULED} lies outside the calendar.") from None

    @property
    def body(self) -> Value:
        """The value of an `amqp-value` section; None without one."""
        for code, data in self.encoded:
            if code == VALUE:
                section = Reader(data).value()
                assert isinstance(section, Described)
                return section.value
        return None


def take_apart(data: bytes) -> Parts:
    """The parts of an encoded message.

    :raises Malformed: it is none
    """
    reader = Reader(data)
    sections: list[tuple[int, bytes, Value]] = []
    while reader.at < reader.end:
        begin = reader.at
        section = reader.value()
        code = section.descriptor if isinstance(section, Described) else None
        if not isinstance(section, Described) or not isinstance(code, ULong) or code not in _SECTIONS:
            raise Malformed("A message has something else than sections.")
        sections.append((int(code), data[begin : reader.at], section.value))
    found = {code: value for code, _, value in sections}
    annotations = found.get(ANNOTATIONS) or {}
    application = found.get(APPLICATION)
    if not isinstance(annotations, dict) or not isinstance(application, dict | None):
        raise Malformed("Annotations and application properties are maps.")
    return Parts(
        header=_list_in(found, HEADER),
        annotations={key: value for key, value in annotations.items() if key not in _BUS_ANNOTATIONS},
        properties=_list_in(found, PROPERTIES),
        application=application,
        encoded=tuple((code, encoded) for code, encoded, _ in sections),
    )


def batched(data: bytes) -> list[bytes]:
    """The encoded messages in a batch: one per data section.

    :raises Malformed: a section is no data
    """
    messages = []
    for code, encoded in take_apart(data).encoded:
        section = Reader(encoded).value()
        assert isinstance(section, Described)
        if code == DATA and isinstance(section.value, bytes):
            messages.append(section.value)
        elif code == DATA:
            raise Malformed("A data section has no bytes.")
    return messages


@dataclass(frozen=True, slots=True)
class Stamps:
    """What the bus says of a message it shows or hands out.

    :param delivery_count: earlier deliveries
    :param state: 0 active, 1 deferred, 2 scheduled; told where messages are peeked at
    :param dead: reason and description, in the dead-letter subqueue
    """

    sequence_number: int
    delivery_count: int
    enqueued_at: float
    locked_until: float | None = None
    state: int | None = None
    dead: tuple[str, str] | None = None


def stamped(data: bytes, stamps: Stamps) -> bytes:
    """The message with the bus's own words in place of what a sender may have claimed."""
    parts = take_apart(data)
    header = [*parts.header, *([None] * 5)][:5]
    header[4] = UInt(stamps.delivery_count)
    annotations: dict[object, Value] = {
        **parts.annotations,
        Symbol("x-opt-sequence-number"): stamps.sequence_number,
        Symbol("x-opt-enqueued-time"): _milliseconds(stamps.enqueued_at),
    }
    if stamps.locked_until is not None:
        annotations[Symbol("x-opt-locked-until")] = _milliseconds(stamps.locked_until)
    if stamps.state is not None:
        annotations[Symbol("x-opt-message-state")] = stamps.state
    sections = [section(HEADER, header), section(ANNOTATIONS, annotations)]
    extra = _why_dead(stamps.dead)
    for code, encoded in parts.encoded:
        if code == PROPERTIES:
            sections.append(encoded)
    if parts.application is not None or extra:
        sections.append(section(APPLICATION, {**(parts.application or {}), **extra}))
    kept = (DATA, SEQUENCE, VALUE, FOOTER)
    sections += [encoded for code, encoded in parts.encoded if code in kept]
    return b"".join(sections)


def section(code: int, value: Value) -> bytes:
    """A section as it is written."""
    return encode(Described(ULong(code), value))


def reply(correlation_id: Value, application: Mapping[str, Value], value: Value) -> bytes:
    """An answer to a request, correlated with it; its id keeps its type."""
    properties: list[Value] = [None] * 5 + [correlation_id]
    body = b"".join((b"\x00\x53\x77", encode(value)))
    items = [part for name, each in application.items() for part in (encode(name), encode(each))]
    return section(PROPERTIES, properties) + b"\x00\x53\x74" + map_of(items) + body


def id_text(message_id: Value) -> str:
    """A message's id as duplicate detection compares it."""
    if isinstance(message_id, uuid.UUID):
        return str(message_id)
    if isinstance(message_id, bytes):
        return message_id.hex()
    return str(message_id) if message_id is not None else ""


def _why_dead(dead: tuple[str, str] | None) -> dict[object, Value]:
    return {} if dead is None else {"DeadLetterReason": dead[0], "DeadLetterErrorDescription": dead[1]}


def _list_in(found: Mapping[int, Value], code: int) -> list[Value]:
    value = found.get(code) or []
    if not isinstance(value, list):
        raise Malformed(f"Section 0x{code:02x} is no list.")
    return value


def _milliseconds(timestamp: float) -> Timestamp:
    return Timestamp(round(timestamp * 1000))
