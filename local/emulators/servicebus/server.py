"""The emulator put together: AMQP on one port, its controls on another."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from local.emulators.servicebus.broker import Broker
from local.emulators.servicebus.connection import Connection
from local.emulators.servicebus.engine import Engine
from local.emulators.servicebus.tokens import Tokens
from shared.kernel.clock import utc_now
from shared.topology import Topology

DATABASE = "servicebus.db"


@asynccontextmanager
async def running(
    listener: socket.socket,
    *,
    data: Path,
    topology: Topology,
    tokens: Tokens,
    now: Callable[[], datetime] = utc_now,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Broker]:
    """Serve on a listening socket until the block ends.

    :param data: where the database is, or will be
    :param now: the clock of locks, schedules and windows; tokens go by the real one, as their makers do
    """
    broker = Broker(Engine(data / DATABASE, topology, now=now), topology, tokens)
    watching = asyncio.create_task(broker.watch())
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        # asyncio does this only for sockets made with their protocol's number; without it each answer waits 40 ms.
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await Connection(broker, reader, writer).serve()
        finally:
            serving.discard(task)

    server = await asyncio.start_server(serve, sock=listener, ssl=tls)
    try:
        yield broker
    finally:
        server.close()
        broker.drop_all()
        if serving:
            await asyncio.wait(serving)
        await broker.close(watching)
