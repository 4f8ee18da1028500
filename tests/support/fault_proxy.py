"""A TCP proxy on loopback that does to a neighbour's connections what networks and sick servers do."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum, unique

from local.layout import Ports

_CHUNK = 65_536


@unique
class Fault(StrEnum):
    """What happens to connections, from now on; those that are open are cut when it changes."""

    NONE = "none"
    DOWN = "down"  # nobody listens: connection refused
    SILENT = "silent"  # accepted; nothing is passed on and nothing answered
    LOST = "lost"  # what we send arrives and is acted on; its answer does not
    RESET = "reset"  # what we send arrives and is acted on; the connection is reset within the answer
    GARBAGE = "garbage"  # what we send arrives; other bytes come back
    WRONG = "wrong"  # what we send arrives; a flawless HTTP answer of something else comes back


_INSTEAD = {
    Fault.GARBAGE: b"\x16\x03\x01 this is no answer to what was asked\r\n\r\n",
    Fault.WRONG: b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{"status":"up"}',
}


@dataclass
class FaultProxy:
    """A proxy in front of `target_port`.

    :param port: where clients connect
    :param connections: how many there were
    :param answered: how many answers of the target arrived here, whether they were passed on or not
    :param after: only answers that come after one beginning like this are tampered with; empty: all are
    """

    target_port: int
    port: int
    fault: Fault = Fault.NONE
    after: bytes = b""
    connections: int = 0
    answered: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def set(self, fault: Fault) -> None:
        """Let this happen from now on; open connections are cut."""
        self.fault = fault
        await self._cut()
        if fault is Fault.DOWN:
            await self._close()
        elif self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, reuse_address=True)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _cut(self) -> None:
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a connection is served by a task"
        self._open.add(task)
        self.connections += 1
        try:
            await self._pass_on(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # either side went away, or the fault changed: what this proxy is for
        finally:
            self._open.discard(task)
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.fault is Fault.SILENT:
            await reader.read()
            return
        back, forth = await asyncio.open_connection("127.0.0.1", self.target_port)
        try:
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(_copy(reader, forth))
                await self._answer(back, writer)
                sending.cancel()
        finally:
            forth.close()

    async def _answer(self, back: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        armed = not self.after
        while data := await back.read(_CHUNK):
            self.answered += 1
            if not armed:
                armed = data.startswith(self.after)
                writer.write(data)
                await writer.drain()
                continue
            if self.fault is Fault.LOST:
                continue
            if self.fault in _INSTEAD:
                writer.write(_INSTEAD[self.fault])
                await writer.drain()
                return
            if self.fault is Fault.RESET:
                writer.write(data[: len(data) // 2])
                await writer.drain()
                _reset(writer)
                return
            writer.write(data)
            await writer.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    found = writer.get_extra_info("socket")
    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def proxied(target_port: int = 0) -> AsyncIterator[FaultProxy]:
    """A proxy in front of a port of this machine (which may be named later), until the block ends."""
    ports = Ports.free()  # nobody else gets them while the proxy is down
    proxy = FaultProxy(target_port, ports.host)
    await proxy.set(Fault.NONE)
    try:
        yield proxy
    finally:
        await proxy.set(Fault.DOWN)
