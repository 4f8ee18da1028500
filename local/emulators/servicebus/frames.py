"""Frames on a stream: a length, where the body begins, a type and a channel, then the body."""

import asyncio
import struct
from dataclasses import dataclass
from typing import Final

from local.emulators.servicebus.decoding import Reader
from local.emulators.servicebus.performatives import Performative, performative_of
from local.emulators.servicebus.values import Malformed

AMQP_HEADER: Final = b"AMQP\x00\x01\x00\x00"
SASL_HEADER: Final = b"AMQP\x03\x01\x00\x00"
AMQP: Final = 0
SASL: Final = 1
# What Service Bus announces: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide
FRAME_BYTES_MAX: Final = 65_536
HEADER_BYTES: Final = 8
EMPTY: Final = b"\x00\x00\x00\x08\x02\x00\x00\x00"


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that was read.

    :param body: None in an empty frame, which only says that its sender is alive
    :param payload: what follows the body of a transfer
    """

    type: int
    channel: int
    body: Performative | None
    payload: bytes


async def read_header(stream: asyncio.StreamReader) -> bytes:
    """The protocol header a client begins with.

    :raises Malformed: something else
    """
    header = await stream.readexactly(HEADER_BYTES)
    if header not in {AMQP_HEADER, SASL_HEADER}:
        raise Malformed(f"{header!r} is no header of AMQP 1.0.")
    return header


async def read_frame(stream: asyncio.StreamReader) -> Frame:
    """The next frame.

    :raises Malformed: it is none, or too long
    :raises asyncio.IncompleteReadError: the stream ended
    """
    size, offset, type_, channel = struct.unpack(">IBBH", await stream.readexactly(HEADER_BYTES))
    if not HEADER_BYTES <= size <= FRAME_BYTES_MAX:
        raise Malformed(f"A frame has {HEADER_BYTES} to {FRAME_BYTES_MAX} bytes, not {size}.")
    if not 2 <= offset <= size // 4:
        raise Malformed(f"A frame of {size} bytes cannot begin its body at word {offset}.")
    if type_ not in {AMQP, SASL}:
        raise Malformed(f"There are no frames of type {type_}.")
    rest = await stream.readexactly(size - HEADER_BYTES)
    begin = offset * 4 - HEADER_BYTES
    if begin == len(rest):
        return Frame(type_, channel, None, b"")
    reader = Reader(rest, begin)
    body = performative_of(reader.value())
    return Frame(type_, channel, body, rest[reader.at :])


def frame_of(channel: int, body: Performative, payload: bytes = b"", *, type_: int = AMQP) -> bytes:
    """A frame as it is written."""
    encoded = body.encode()
    size = HEADER_BYTES + len(encoded) + len(payload)
    return struct.pack(">IBBH", size, 2, type_, channel) + encoded + payload
