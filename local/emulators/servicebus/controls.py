"""The emulator's controls over HTTP: faults, and what is where. No part of Service Bus."""

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import Field
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.emulators.database import Claim
from local.emulators.replies import Control, json_reply, read_control, refuse_control
from local.emulators.servicebus.broker import Broker
from local.emulators.servicebus.faults import Fault, Refusal
from local.emulators.servicebus.server import DATABASE, running
from local.emulators.servicebus.tokens import Tokens
from shared.topology import Topology


class Expiry(Control):
    """Locks that lapse now."""

    queue: str | None = Field(default=None, description="of this queue; unset: of all")


def build(
    listener: socket.socket, *, data: Path, topology: Topology, tokens: Tokens, tls: ssl.SSLContext | None
) -> Starlette:
    """The controls; while they are served, AMQP is served on `listener`.

    :raises DirectoryTaken: another emulator works in `data`
    """
    claim = Claim(data / DATABASE)
    brokers: list[Broker] = []

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            async with running(listener, data=data, topology=topology, tokens=tokens, tls=tls) as broker:
                brokers.append(broker)
                yield
        finally:
            claim.release()

    return Starlette(
        routes=Controls(brokers).routes(), lifespan=lifespan, exception_handlers={HTTPException: refuse_control}
    )


class Controls:
    """The control endpoints.

    :param brokers: the one broker, once it runs
    """

    def __init__(self, brokers: list[Broker]) -> None:
        self._brokers = brokers

    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/_emulator", self.status, methods=["GET"]),
            Route("/_emulator/faults", self.add_fault, methods=["POST"]),
            Route("/_emulator/faults", self.clear_faults, methods=["DELETE"]),
            Route("/_emulator/connections", self.drop, methods=["DELETE"]),
            Route("/_emulator/refusal", self.refuse, methods=["POST"]),
            Route("/_emulator/locks", self.expire, methods=["DELETE"]),
        ]

    async def status(self, _: Request) -> Response:
        """How many messages each queue has, how many connections there are, how many faults were met."""
        broker = self._brokers[0]
        counts = {queue.name: dict(await broker.engine.counts(queue.name)) for queue in broker.topology.queues}
        return json_reply({"queues": counts, "connections": len(broker.connections), "faults": broker.faults.hits})

    async def add_fault(self, request: Request) -> Response:
        """Put a fault in force."""
        self._brokers[0].faults.add(await read_control(request, Fault))
        return Response(status_code=204)

    async def clear_faults(self, _: Request) -> Response:
        """A good day again."""
        self._brokers[0].faults.clear()
        return Response(status_code=204)

    async def drop(self, _: Request) -> Response:
        """Cut every connection."""
        return json_reply({"dropped": self._brokers[0].drop_all()})

    async def refuse(self, request: Request) -> Response:
        """Cut every connection, and new ones for a while."""
        self._brokers[0].refuse_for((await read_control(request, Refusal)).seconds)
        return Response(status_code=204)

    async def expire(self, request: Request) -> Response:
        """Let locks lapse now."""
        wanted, broker = await read_control(request, Expiry), self._brokers[0]
        queues = [queue.name for queue in broker.topology.queues]
        if wanted.queue is not None and wanted.queue not in queues:
            raise HTTPException(404, f"queue: there is no {wanted.queue!r}, only {', '.join(queues)}")
        return json_reply({"expired": await broker.engine.expire_locks(wanted.queue)})


def tls_with(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """TLS with a certificate.

    :raises OSError: a file cannot be read
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context
