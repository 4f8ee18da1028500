"""A webhook receiver for tests: verifies nothing, notes everything, answers as told."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web


@dataclass(frozen=True)
class Received:
    """One delivery."""

    body: bytes
    signature: str
    at: float

    @property
    def event(self) -> dict[str, Any]:
        """The event it carries."""
        event: dict[str, Any] = orjson.loads(self.body)
        return event


class Receiver:
    """Listens on a port of its own between `start` and `stop`."""

    def __init__(self, port: int = 0) -> None:
        self.received: list[Received] = []
        self.answers: list[int] = []  # statuses to give next; 200 when empty
        self.port = port
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def start(self) -> None:
        """Listen, on the port it had before if it had one."""
        app = web.Application()
        app.router.add_post("/hook", self._receive)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening."""
        assert self._runner is not None
        await self._runner.cleanup()

    async def wait_for(self, number: int, kind: str, *, seconds: float = 60) -> list[Received]:
        """The deliveries of a type once there are `number` of them."""
        until = time.monotonic() + seconds
        while len(found := self.of(kind)) < number:
            assert time.monotonic() < until, f"{len(found)} of {number} {kind} after {seconds} s"
            await asyncio.sleep(0.02)
        return found

    def of(self, kind: str) -> list[Received]:
        """The deliveries of a type so far."""
        return [delivery for delivery in self.received if delivery.event["type"] == kind]

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.received.append(Received(body, request.headers["Stripe-Signature"], time.time()))
        return web.Response(status=self.answers.pop(0) if self.answers else 200)
