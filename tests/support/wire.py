"""HTTP as bytes on a socket: what a client library would refuse to send, and what really came back."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

PATIENCE_SECONDS = 180.0  # only a hang takes so long


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, as it stood on the wire; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def problem(self) -> dict[str, Any]:
        """The problem document, with the correlation id checked against its header."""
        assert self.headers["content-type"] == "application/problem+json", self
        document: dict[str, Any] = json.loads(self.body)
        assert document["status"] == self.status
        assert document["correlation_id"] == self.headers["x-correlation-id"]
        assert document.keys() >= {"type", "title", "detail"}
        return document


@dataclass(slots=True)
class Line:
    """A connection to the host."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send what the other side still takes: it may have refused in the middle."""
        with suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def drip(self, data: bytes, *, seconds: float = 1.0) -> None:
        """Send one byte at a time until the other side has had enough."""
        with suppress(ConnectionError):
            for at in range(len(data)):
                self.writer.write(data[at : at + 1])
                await self.writer.drain()
                await asyncio.sleep(seconds)
                if self.reader.at_eof():
                    return

    async def answer(self, *, head: bool = False) -> Answer | None:
        """The next answer; nothing if the connection ends before one begins.

        :param head: it answers a HEAD request: no body follows
        """
        async with asyncio.timeout(PATIENCE_SECONDS):
            try:
                top = await self.reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError) as ended:
                rest = getattr(ended, "partial", b"")
                assert rest == b"", rest
                return None
            status_line, *lines = top.decode("latin-1").rstrip("\r\n").split("\r\n")
            headers = dict(_header(line) for line in lines)
            body = b"" if head else await self.reader.readexactly(int(headers.get("content-length", "0")))
            assert "transfer-encoding" not in headers, headers
            return Answer(int(status_line.split(" ")[1]), headers, body)

    async def ended(self) -> bool:
        """Whether the other side closes, without another byte."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.lower(), value.strip()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Line]:
    """A connection to the server at this URL."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=2**22)
    try:
        yield Line(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def asked(url: str, data: bytes, *, half_close: bool = False) -> Answer | None:
    """What a server answers to these bytes on a connection of their own."""
    async with connected(url) as line:
        await line.send(data)
        if half_close:
            line.writer.write_eof()
        return await line.answer()


def request(
    method: str, path: str, headers: Mapping[str, str] | None = None, *, token: str = "", body: bytes = b""
) -> bytes:
    """An ordinary request, to be spoiled by the caller."""
    fields = {"host": "shop.example", **(headers or {})}
    if token:
        fields["authorization"] = f"Bearer {token}"
    if body:
        fields = {"content-type": "application/json", "content-length": str(len(body)), **fields}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body
