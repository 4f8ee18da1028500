"""A bare AMQP client on the SDK's own encoder and decoder, to say to a bus what no SDK would."""

import asyncio
import struct
from typing import Any, Self

from azure.servicebus._pyamqp import performatives as frames
from azure.servicebus._pyamqp._decode import decode_frame
from azure.servicebus._pyamqp._encode import encode_frame, encode_payload
from azure.servicebus._pyamqp.endpoints import Source, Target
from azure.servicebus._pyamqp.message import Message, Properties

AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"
SASL = b"\x01"
ANSWER_SECONDS = 5.0

OPEN, BEGIN, ATTACH, FLOW, TRANSFER, DISPOSITION, DETACH, END, CLOSE = range(0x10, 0x19)


def made(kind: Any, **fields: Any) -> Any:
    """A frame of the SDK's with these fields, and null for the others."""
    return kind(**(dict.fromkeys(kind._fields) | fields))


type Received = tuple[int, list[Any]]


def begin() -> Any:
    """The beginning of a session."""
    return made(frames.BeginFrame, next_outgoing_id=0, incoming_window=2048, outgoing_window=2048, handle_max=255)


class RawClient:
    """One connection; everything is sent as it is given."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int) -> Self:
        """A connection on which nothing has been said."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    @classmethod
    async def signed_in(cls, port: int, *, max_frame_size: int = 65_536) -> Self:
        """A connection with a session on channel 1."""
        client = await cls.connect(port)
        client.writer.write(SASL_HEADER)
        assert await client.reader.readexactly(8) == SASL_HEADER
        assert (await client.receive())[0] == 0x40
        client.send(frames.SASLInit(mechanism=b"ANONYMOUS", initial_response=b"", hostname="x"), 0, SASL)
        assert (await client.receive())[1][0] == 0
        client.writer.write(AMQP_HEADER)
        client.send(made(frames.OpenFrame, container_id="raw", max_frame_size=max_frame_size), 0)
        client.send(begin(), 1)
        assert await client.reader.readexactly(8) == AMQP_HEADER
        assert (await client.receive())[0] == OPEN
        assert (await client.receive())[0] == BEGIN
        return client

    def send(self, frame: Any, channel: int = 1, type_: bytes = b"\x00") -> None:
        """Send a frame of the SDK's."""
        header, body = encode_frame(frame, type_)
        assert body is not None
        self.writer.write(header + struct.pack(">H", channel) + body)

    async def receive(self) -> Received:
        """The next frame: its code and its fields."""
        async with asyncio.timeout(ANSWER_SECONDS):
            size, _, _, _ = struct.unpack(">IBBH", await self.reader.readexactly(8))
            return decode_frame(memoryview(await self.reader.readexactly(size - 8)))

    async def until(self, code: int) -> list[Any]:
        """The fields of the next frame with a code; others before it are passed over."""
        while True:
            found, fields = await self.receive()
            if found == code:
                return fields

    async def attach(self, address: str, handle: int, *, receiving: bool = False, settled: bool = False) -> list[Any]:
        """Attach a link; the answer's fields."""
        name = f"link-{handle}"
        source, target = (address, name) if receiving else (name, address)
        self.send(
            made(
                frames.AttachFrame,
                name=name,
                handle=handle,
                role=receiving,
                send_settle_mode=1 if settled else 0,
                rcv_settle_mode=1,
                source=made(Source, address=source),
                target=made(Target, address=target),
                initial_delivery_count=None if receiving else 0,
            )
        )
        return await self.until(ATTACH)

    async def put_token(self, token: str, audience: str, *, type_: str = "jwt") -> int:
        """Put a token on `$cbs`, on handles 100 and 101; the answer's status."""
        await self.attach("$cbs", 100)
        await self.attach("$cbs", 101, receiving=True)
        self.credit(101, 10)
        request = Message(
            properties=Properties(message_id="1"),
            application_properties={"operation": "put-token", "type": type_, "name": audience},
            value=token,
        )
        self.transfer(100, encode(request))
        while True:
            fields = await self.until(TRANSFER)
            if fields[0] == 101:
                return int(answer_in(fields).application_properties[b"status-code"])

    def credit(self, handle: int, credit: int, *, drain: bool = False, count: int = 0, window: int = 2048) -> None:
        """Say how many deliveries may come on a link, and transfers in the session."""
        self.send(frames.FlowFrame(0, window, 0, 2048, handle, count, credit, None, drain, False, None))

    def transfer(self, handle: int, payload: bytes, *, number: int = 0, more: bool = False, format_: int = 0) -> None:
        """Send a message or a part of one."""
        tag = struct.pack(">I", number)
        self.send(frames.TransferFrame(handle, number, tag, format_, False, more, payload=payload))

    async def closed_with(self) -> str:
        """The condition with which the server closes the connection, which then ends."""
        error = (await self.until(CLOSE))[0]
        assert await self.reader.read() == b""
        self.writer.close()
        return str(error[0], "utf-8")

    async def close(self) -> None:
        """Leave without a word."""
        self.writer.close()
        await self.writer.wait_closed()


def encode(message: Message) -> bytes:
    """A message as it is sent."""
    return bytes(encode_payload(bytearray(), message))


def answer_in(transfer: list[Any]) -> Any:
    """The message in a transfer's fields."""
    from azure.servicebus._pyamqp._decode import decode_payload

    return decode_payload(transfer[-1])
