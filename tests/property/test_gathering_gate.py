"""Two buyers gather the last places at once, step by step: 2 shards, 2 left in each; one wants 5, the other 4."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from functions.inventory.gathering import TURN
from functions.inventory.holds import Holds, PoolShort
from functions.inventory.pools import Pool
from functions.inventory.repository import GATE_ID, InventoryRepository
from shared.kernel.ids import EventId, OrderId, OrganiserId, PoolId
from shared.store.port import Document, Patch, Store, Unavailable, Write
from tests.doubles.stores import Gateless, Passing
from tests.factories import settings as factory
from tests.factories.catalog import NOW

LOOKS = 3  # at a gate that stays shut: whoever looks so often is waiting
POOL = Pool(organiser_id=OrganiserId("org_a"), event_id=EventId("evt_a"), pool_id=PoolId("pool_a"), shards=2)


class Pausing(Passing):
    """Stands still after its first successful hold, and counts looks at the gate."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.has_taken = asyncio.Event()
        self.go_on = asyncio.Event()
        self.is_waiting = asyncio.Event()
        self.looks_at_gate = 0
        self.pauses = False

    async def read(self, container: str, partition: str, id: str) -> Document:  # noqa: A002 - the field's own word
        """See `Store.read`."""
        self.looks_at_gate += id == GATE_ID
        if self.looks_at_gate == LOOKS:
            self.is_waiting.set()
        return await super().read(container, partition, id)

    async def commit(self, container: str, partition: str, writes: Sequence[Write]) -> Sequence[str]:
        """See `Store.commit`."""
        etags = await super().commit(container, partition, writes)
        if self.pauses and not self.has_taken.is_set() and any(isinstance(write, Patch) for write in writes):
            self.has_taken.set()
            await self.go_on.wait()
        return etags


async def gather_at_once(store: Store) -> tuple[bool, bool, int]:
    """Whether the one who wants 5 and the one who wants 4 got them, and what is left."""
    first, second = Pausing(store), Pausing(store)
    first.pauses = True
    await Holds(InventoryRepository(store)).open(POOL, 4)

    async def hold(through: Pausing, order_id: str, quantity: int) -> bool:
        holds = Holds(InventoryRepository(through))
        try:
            await holds.hold(order_id=OrderId(order_id), attempt=1, demands=[(POOL, quantity)], now=NOW)
        except PoolShort:
            return False
        return True

    greedy = asyncio.create_task(hold(first, "ord_greedy", 5))
    await first.has_taken.wait()
    modest = asyncio.create_task(hold(second, "ord_modest", 4))
    waiting = asyncio.create_task(second.is_waiting.wait())
    await asyncio.wait({modest, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    first.go_on.set()
    got = (await greedy, await modest)
    return *got, (await Holds(InventoryRepository(store)).availability(POOL)).available


async def test_who_fits_waits_until_the_other_has_given_back(tmp_path: Path) -> None:
    with factory.adapters(tmp_path) as adapters:
        assert await gather_at_once(adapters.store) == (False, True, 0)


async def test_without_the_gate_both_are_refused_and_the_places_stay(tmp_path: Path) -> None:
    with factory.adapters(tmp_path) as adapters:
        assert await gather_at_once(Gateless(adapters.store)) == (False, False, 4)


class LostAnswers(Passing):
    """The gate changes, and nobody is told."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.lost = 0

    async def commit(self, container: str, partition: str, writes: Sequence[Write]) -> Sequence[str]:
        """See `Store.commit`."""
        etags = await super().commit(container, partition, writes)
        if [write.id for write in writes] == [GATE_ID]:
            self.lost += 1
            raise Unavailable("The answer was lost.")
        return etags


async def test_a_lost_answer_at_the_gate_neither_fails_the_order_nor_shuts_the_gate(tmp_path: Path) -> None:
    with factory.adapters(tmp_path) as adapters:
        store = LostAnswers(adapters.store)
        holds = Holds(InventoryRepository(store))
        await holds.open(POOL, 4)
        began = asyncio.get_running_loop().time()

        for order_id in ("ord_a", "ord_b"):
            got = await holds.hold(order_id=OrderId(order_id), attempt=1, demands=[(POOL, 3)], now=NOW)
            assert sum(part.quantity for part in got) == 3
            await holds.free(got, order_id=OrderId(order_id))

        assert store.lost >= 4, "the gate was taken and given up twice"
        assert asyncio.get_running_loop().time() - began < TURN.total_seconds(), "somebody waited for a dead owner"
