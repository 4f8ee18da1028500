"""The doubles of Cosmos DB and Service Bus of a running stack, told to fail at the wire, and how often they did."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from local.stack import Stack

MET_SECONDS: Final = 120.0  # normally well below one: only what nobody meets takes so long


@dataclass(frozen=True, slots=True)
class Cosmos:
    """The double of Cosmos DB; its faults are those of `local/emulators/cosmos/faults.py`."""

    stack: Stack
    http: httpx.AsyncClient

    async def hits(self) -> int:
        """How many requests met a fault since the double started."""
        return int((await self._ask("GET"))["hits"])

    @asynccontextmanager
    async def failing(self, *faults: dict[str, Any]) -> AsyncIterator[None]:
        """These faults, while the block runs, and until at least one request has met one.

        :raises TimeoutError: none did within `MET_SECONDS`
        """
        before = await self.hits()
        for fault in faults:
            await self._ask("POST", fault)
        try:
            yield
            async with asyncio.timeout(MET_SECONDS):
                while await self.hits() == before:  # noqa: ASYNC110 - another process makes it true
                    await asyncio.sleep(0.05)
        finally:
            await self._ask("DELETE")
        print(f"met {await self.hits() - before} times: {faults[0]}")

    async def _ask(self, method: str, body: dict[str, Any] | None = None) -> Any:
        url = f"http://127.0.0.1:{self.stack.ports.cosmos}/_emulator/faults"
        return (await self.http.request(method, url, json=body)).raise_for_status().json()


@dataclass(frozen=True, slots=True)
class ServiceBus:
    """The double of Service Bus; its faults are those of `local/emulators/servicebus/faults.py`."""

    stack: Stack
    http: httpx.AsyncClient

    async def hits(self) -> int:
        """How many occasions met a fault since the double started."""
        return int((await self._ask("GET", "")).json()["faults"])

    async def fail(self, kind: str, times: int) -> None:
        """A fault for the next `times` occasions; returns once each of them was met."""
        wanted = await self.hits() + times
        await self._ask("POST", "/faults", {"kind": kind, "times": times})
        async with asyncio.timeout(MET_SECONDS):
            while await self.hits() < wanted:  # noqa: ASYNC110 - another process makes it true
                await asyncio.sleep(0.05)

    async def drop(self) -> int:
        """Cut every connection; how many there were."""
        return int((await self._ask("DELETE", "/connections")).json()["dropped"])

    async def lose_locks(self, queue: str, *, at_least: int) -> int:
        """Let the locks on a queue's messages lapse as soon as there are any, until so many did; how many."""
        lost = 0
        async with asyncio.timeout(MET_SECONDS):
            while lost < at_least:
                lost += int((await self._ask("DELETE", "/locks", {"queue": queue})).json()["expired"])
                await asyncio.sleep(0.01)
        return lost

    async def kill_and_start(self) -> None:
        """`kill -9`, and start it again; messages are kept."""
        self.stack.kill_emulator("servicebus")
        await asyncio.to_thread(self.stack.start_emulator, "servicebus")

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        url = f"http://127.0.0.1:{self.stack.ports.servicebus_controls}/_emulator{path}"
        return (await self.http.request(method, url, json=body)).raise_for_status()
