"""The shop that is measured: a freshly started Tessera, its people, and one hot event a run."""

import asyncio
import json
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp

from bench.load import CLIENTS, Api, cpu_seconds
from local.stack import Stack


@dataclass(slots=True)
class HotEvent:
    """An event with one pool."""

    event_id: str
    ticket_type_id: str
    capacity: int

    def order(self, quantity: int = 1, method: str = "card") -> dict[str, Any]:
        """The request for some places."""
        return {
            "event_id": self.event_id,
            "lines": [{"ticket_type_id": self.ticket_type_id, "quantity": quantity}],
            "method": method,
        }


@dataclass(slots=True)
class Shop:
    """A running Tessera with an organiser.

    :param buyers: `CLIENTS` signed-in people
    :param operators: as many of the organiser's operators
    """

    stack: Stack
    buyers: Api
    operators: Api
    owner: Api
    admin: Api
    organiser_id: str
    venue_id: str

    @classmethod
    async def open(cls, stack: Stack) -> Self:
        """The shop on a running stack."""
        owner = Api(stack.url, await tokens(stack, {"email": "clara@tessera.example"}))
        people = {"count": CLIENTS, "roles": ["user"], "prefix": "bench"}
        buyers = Api(stack.url, await tokens(stack, people))
        operators = Api(stack.url, await tokens(stack, {"email": "oscar@tessera.example"}))
        _, organiser = await owner.post("/api/organisers", {"name": "Bench"})
        organiser_id = organiser["organiser_id"]
        _, oscar = await operators.get("/api/me")
        url = f"{stack.url}/api/organisers/{organiser_id}/members/{oscar['person_id']}"
        headers = owner._headers[0]  # noqa: SLF001 - the one request that is no GET or POST
        async with (
            aiohttp.ClientSession() as http,
            http.put(url, json={"role": "operator"}, headers=headers) as answer,
        ):
            answer.raise_for_status()
        venue = {"name": "Hall", "address": "", "city": "Zurich", "country": "CH", "timezone": "Europe/Zurich"}
        _, made = await owner.post(f"/api/organisers/{organiser_id}/venues", venue)
        admin = Api(stack.url, await tokens(stack, {"email": "ada@tessera.example"}))
        return cls(stack, buyers, operators, owner, admin, organiser_id, made["venue_id"])

    async def event(self, capacity: int, *, price: int = 2500, demand: int = 1) -> HotEvent:
        """A published event."""
        body = {
            "organiser_id": self.organiser_id,
            "venue_id": self.venue_id,
            "name": f"Hot {uuid.uuid4()}",
            "starts_at": "2030-01-01T20:00:00Z",
            "ends_at": "2030-01-01T23:00:00Z",
            "pools": [{"name": "Floor", "capacity": capacity, "expected_demand": demand}],
            "ticket_types": [
                {"name": "Floor", "price": {"amount_minor": price, "currency": "EUR"}, "pool": "Floor",
                 "maximum_per_order": 50}
            ],
        }  # fmt: skip
        status, made = await self.owner.post("/api/events", body)
        assert status == 201, made
        status, published = await self.owner.post(f"/api/events/{made['event_id']}/publish", {})
        assert status == 200, published
        return HotEvent(made["event_id"], made["ticket_types"][0]["ticket_type_id"], capacity)

    async def left(self, event: HotEvent) -> int:
        """How many places are available."""
        _, shown = await self.owner.get(f"/api/events/{event.event_id}")
        return int(shown["available"])

    def cpu(self) -> float:
        """Seconds of CPU the host used so far, all workers."""
        assert self.stack.host is not None
        started = (pid for pid in self.stack.host.worker_pids() if Path(f"/proc/{pid}").exists())  # the log has a past
        return cpu_seconds(sorted({self.stack.host.process.pid, *started}))

    async def quiet(self, seconds_max: float = 120) -> None:
        """Wait until the embedded queues are empty: what is measured includes what happens afterwards."""
        from shared.bus.embedded import EmbeddedBus
        from shared.topology import topology

        bus = EmbeddedBus(Path(self.stack.data) / "bus.db", topology())
        give_up = time.monotonic() + seconds_max
        try:
            calm = 0
            while calm < 3 and time.monotonic() < give_up:
                counts = [await bus.counts(queue.name) for queue in topology().queues]
                calm = calm + 1 if sum(count["active"] for count in counts) == 0 else 0
                await asyncio.sleep(0.3)
        finally:
            bus.close()

    async def close(self) -> None:
        """Close the clients."""
        for api in (self.buyers, self.operators, self.owner, self.admin):
            await api.close()


async def tokens(stack: Stack, wanted: dict[str, Any]) -> list[str]:
    """Access tokens of the sign-in double (`local/emulators/entra/controls.py`)."""
    async with aiohttp.ClientSession() as http, http.post(f"{stack.entra_url}/_emulator/tokens", json=wanted) as answer:
        answer.raise_for_status()
        found = json.loads(await answer.text())
    return [token["access_token"] if isinstance(token, dict) else token for token in found["tokens"]]
