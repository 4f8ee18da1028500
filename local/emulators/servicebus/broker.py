"""What every connection shares: the queues, who may use them, the faults in force, and the wake-ups."""

import asyncio
import contextlib
import time
from typing import Protocol

from local.emulators.servicebus.addresses import Address, resolve
from local.emulators.servicebus.engine import Engine
from local.emulators.servicebus.faults import Faults
from local.emulators.servicebus.tokens import Tokens
from shared.topology import Topology

_WATCH_SECONDS = 1.0  # how late a dead letter's lapsed lock may be noticed


class Droppable(Protocol):
    """A connection."""

    def drop(self) -> None:
        """End it without a word."""
        ...


class Broker:
    """The namespace.

    :param engine: its queues
    """

    def __init__(self, engine: Engine, topology: Topology, tokens: Tokens) -> None:
        self.engine = engine
        self.topology = topology
        self.tokens = tokens
        self.faults = Faults()
        self.connections: set[Droppable] = set()
        self.waiting: set[asyncio.Event] = set()
        self._refused_until = 0.0

    def resolve(self, address: str) -> Address | None:
        """What an address names, if anything."""
        return resolve(address, self.topology)

    def drop_all(self) -> int:
        """Cut every connection; how many there were."""
        dropped = list(self.connections)
        for connection in dropped:
            connection.drop()
        return len(dropped)

    def refuse_for(self, seconds: float) -> None:
        """Cut every connection, and every new one for a while."""
        self._refused_until = time.monotonic() + seconds
        self.drop_all()

    @property
    def refusing(self) -> bool:
        """Whether connections are refused just now."""
        return time.monotonic() < self._refused_until

    async def watch(self) -> None:
        """Wake the links that wait for messages whenever there may be one; ends when cancelled."""
        while True:
            await self.engine.wait(_WATCH_SECONDS)
            for event in self.waiting:
                event.set()

    async def close(self, watching: asyncio.Task[None]) -> None:
        """Cut every connection, and release the file."""
        self.drop_all()
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        self.engine.close()
