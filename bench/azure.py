"""What a sale costs on Azure: the product on Azure's own SDKs, against the doubles of Cosmos DB and Service Bus.

Request units are the double's, by Microsoft's published model (docs/emulators.md): good for comparing designs and for
an order of magnitude, not for a bill. What the platform does without any sale (polling feeds, timers) is measured
first and taken off.
"""

import asyncio
import statistics
import tempfile
import time
import zipfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.figures import Figures, buy, new_key
from bench.load import drive
from bench.shop import HotEvent, Shop
from local.package import index, write_package
from local.stack import Stack

CLIENTS: Final = 8
IDLE_SECONDS: Final = 5.0
SETTLED_SECONDS: Final = 3.0  # feeds, relay, mails and analytics of the last order
STARTS: Final = 9
PLENTY: Final = 900_000


async def azure(shop: Shop, seconds: float) -> Figures:
    """Card purchases and holds through the SDKs."""
    event = await shop.event(PLENTY)

    async def purchase(client: int, _round: int) -> bool:
        return bool(await buy(shop, event, client, new_key()))

    async def hold(client: int, _round: int) -> bool:
        return (await shop.buyers.post("/api/orders", event.order(), client, new_key()))[0] == 201

    await _warm(shop, event)
    idle = await _idle(shop)
    bought, cards = await _metered(shop, purchase, seconds, idle)
    held, holds = await _metered(shop, hold, seconds / 2, idle)
    return {
        "card_order_rps_sdk": cards / bought.seconds,
        "cosmos_ru_per_card_order": bought.units / cards,
        "cosmos_calls_per_card_order": bought.calls / cards,
        "bus_messages_per_card_order": bought.messages / cards,
        "ru_per_hold": held.units / holds,
        "hold_rps_sdk": holds / held.seconds,
        "idle_ru_per_second": idle.units / idle.seconds,
        **await asyncio.to_thread(cold_starts),
    }


def cold_starts() -> Figures:
    """Milliseconds to import and index the package, by service: in a new interpreter, the interpreter's own start left
    out. What Azure does before that (a machine, the runtime) is not in it.
    """
    with tempfile.TemporaryDirectory(prefix="tessera-cold-") as folder:
        package, app = Path(folder) / "tessera.zip", Path(folder) / "app"
        write_package(package)
        zipfile.ZipFile(package).extractall(app)
        figures: Figures = {}
        for name, services in (("cold_start_ms", "commerce"), ("cold_start_ms_all", "all")):
            figures[name] = statistics.median(index(app, services)["milliseconds"] for _ in range(STARTS))
        return figures


@dataclass(frozen=True, slots=True)
class Meter:
    """What was used in a time."""

    seconds: float
    units: float
    calls: float
    messages: float

    def without(self, idle: "Meter") -> "Meter":
        """What is left of it once a platform that sells nothing has had its share."""
        share = self.seconds / idle.seconds
        return Meter(
            self.seconds,
            self.units - idle.units * share,
            self.calls - idle.calls * share,
            self.messages - idle.messages * share,
        )


async def _warm(shop: Shop, event: HotEvent) -> None:
    for client in range(CLIENTS):
        await buy(shop, event, client, new_key())
    await asyncio.sleep(SETTLED_SECONDS)


async def _idle(shop: Shop) -> Meter:
    before = await _read(shop)
    await asyncio.sleep(IDLE_SECONDS)
    return _between(before, await _read(shop), IDLE_SECONDS)


async def _metered(
    shop: Shop, action: Callable[[int, int], Awaitable[bool]], seconds: float, idle: Meter
) -> tuple[Meter, int]:
    """What `action` used, all that followed included, and how often it was done."""
    before, started = await _read(shop), time.perf_counter()
    run = await drive(action, seconds=seconds, clients=CLIENTS)
    driven = time.perf_counter() - started
    await asyncio.sleep(SETTLED_SECONDS)
    used = _between(before, await _read(shop), time.perf_counter() - started).without(idle)
    return Meter(driven, used.units, used.calls, used.messages), len(run.latencies)


async def _read(shop: Shop) -> tuple[float, float, float]:
    usage = await _control(shop.stack, shop.stack.ports.cosmos, "usage")
    counts = [each for operations in usage.values() for each in operations.values()]
    _, told = await shop.admin.get("/api/operations/counters")
    messages = float(told["counters"].get("bus_messages", 0))
    return sum(each["units"] for each in counts), float(sum(each["requests"] for each in counts)), messages


async def _control(stack: Stack, port: int, name: str) -> dict[str, Any]:
    url = f"http://127.0.0.1:{port}/_emulator/{name}"
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        answer.raise_for_status()
        found: dict[str, Any] = await answer.json(content_type=None)
        return found


def _between(before: tuple[float, float, float], after: tuple[float, float, float], seconds: float) -> Meter:
    units, calls, messages = (late - early for early, late in zip(before, after, strict=True))
    return Meter(seconds, units, calls, messages)
