"""An on-sale on Azure's SDKs while Cosmos DB and Service Bus fail at the wire: afterwards everybody's books agree.

The loads are small: through the SDKs a process here sells ten to twenty card orders a second, and what goes wrong is
found by its kind, not by numbers.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.faults.azure import Cosmos, ServiceBus
from tests.faults.onsale import on_sale, reconciled
from tests.faults.shop import Pool, Shop, opened

pytestmark = pytest.mark.xdist_group("azure-on-sale")

DEADLINE_SECONDS: Final = 3
BUYERS: Final = 6
SETTLED_SECONDS: Final = 120.0  # normally 1 to 20: locks lapse after 15, the claim on a mail in hand after 45
POOLS: Final = [Pool("floor", 600), Pool("balcony", 20, price=6800)]
# What the host says while the bus is away: nothing can be received, renewed or settled, the batches of the relay come
# again, and so does a message whose copy for later could not be sent; dead letters cannot be counted.
BUS_AWAY: Final = (
    r": (Queue \w+: trouble, trying again|A lock could not be renewed|A message could not be settled; .*)"
    r"|watch_dead_letters: bus_unavailable"
    r"|(\w+): Function \2 failed(, the batch is given again)?: Bus(Unavailable|Busy)\(.*"
)
# What it says of the store: a feed could not be read, its lease not renewed, its batch not handled; a timer failed, and
# looks again at its next tick; or a request found no answer in time.
STORE_AWAY: Final = (
    r": Feed [\w:-]+: (trouble, trying again|the lease could not be renewed)|\w*: store_trouble"
    r"|(\w+): Function \2 failed(, the batch is given again)?: (Busy|Unavailable|StoreSilent|Contended)\(.*"
)
FAULT_SECONDS: Final = 0.9
CALM_SECONDS: Final = 0.2

type Rule = dict[str, Any]

STORE_FAULTS: Final[dict[str, list[Rule]]] = {
    "throttled": [{"kind": "throttle", "fraction": 0.4, "retry_after_ms": 20}],
    "throttled within batches": [{"kind": "throttle", "operation": "batch", "inside": True, "fraction": 0.5}],
    "449": [{"kind": "retry_with", "operation": "batch", "fraction": 0.3}],
    "449 within batches": [{"kind": "retry_with", "operation": "batch", "inside": True, "fraction": 0.5}],
    "503": [{"kind": "unavailable", "fraction": 0.1}],
    "408 though written": [{"kind": "timeout", "operation": "batch", "fraction": 0.1, "performed": True}],
    "cut though written": [{"kind": "reset", "operation": "batch", "fraction": 0.1, "performed": True}],
    "cut": [{"kind": "reset", "fraction": 0.1}],
    "slow": [{"kind": "slow", "fraction": 0.2, "seconds": 0.3}],
    # Of what was just created a stale read finds nothing: 404.
    "stale": [{"kind": "stale", "container": name, "fraction": 0.3} for name in ("orders", "inventory", "mail")],
    "feeds repeat": [{"kind": "repeat", "fraction": 0.7}],
}


async def sold_while(
    data: Path, trouble: Callable[[Shop], Awaitable[None]], *, seed: int, expected: str = ""
) -> Counter[str]:
    """An on-sale during which `trouble` happens, reconciled; how its orders ended."""
    async with opened(data, POOLS, deadline_seconds=DEADLINE_SECONDS, azure=True) as shop:
        async with on_sale(shop, buyers=BUYERS, deadline_seconds=DEADLINE_SECONDS, seed=seed) as sale:
            await trouble(shop)
        states = await reconciled(shop, sale, seconds=SETTLED_SECONDS, expected=expected)
    assert states["paid"] > 0
    assert states["expired"] > 0
    return states


async def test_an_on_sale_that_nobody_disturbs_adds_up(tmp_path: Path) -> None:
    async def nothing(_: Shop) -> None:
        await asyncio.sleep(4)

    await sold_while(tmp_path, nothing, seed=1)


async def test_an_on_sale_adds_up_whatever_the_store_does_at_the_wire(tmp_path: Path) -> None:
    async def one_after_another(shop: Shop) -> None:
        cosmos = Cosmos(shop.stack, shop.http)
        for faults in STORE_FAULTS.values():
            async with cosmos.failing(*faults):  # at least one request meets it
                await asyncio.sleep(FAULT_SECONDS)
            await asyncio.sleep(CALM_SECONDS)

    await sold_while(tmp_path, one_after_another, seed=2, expected=STORE_AWAY)


async def test_an_on_sale_adds_up_though_the_bus_is_killed_cut_off_and_repeats_itself(tmp_path: Path) -> None:
    async def one_after_another(shop: Shop) -> None:
        bus = ServiceBus(shop.stack, shop.http)
        await asyncio.sleep(1)
        await bus.kill_and_start()
        await asyncio.sleep(1)
        assert await bus.drop() > 0
        await asyncio.sleep(0.5)
        await bus.fail("lost-publish", 3)  # each returns when all of them were met
        await bus.fail("lost-settlement", 3)
        await bus.fail("doubled", 10)
        await bus.fail("busy", 60)  # more than the SDK tries again by itself, so that the product meets it too
        for queue in ("payments", "stock"):
            await bus.lose_locks(queue, at_least=2)

    await sold_while(tmp_path, one_after_another, seed=3, expected=BUS_AWAY)


async def test_an_on_sale_adds_up_though_the_host_is_killed_in_the_middle_of_it(tmp_path: Path) -> None:
    async def kill(shop: Shop) -> None:
        await asyncio.sleep(2)
        host = shop.stack.host
        assert host is not None
        host.kill()
        await asyncio.to_thread(shop.stack.start_host)
        await asyncio.sleep(2)

    await sold_while(tmp_path, kill, seed=4)
