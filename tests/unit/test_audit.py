"""The audit looks at what changed, finds what is wrong, and never calls right what moved under its eyes."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from functions.inventory.audit import Audit
from functions.inventory.holds import Holds
from functions.inventory.pools import Pool, hold_id
from functions.inventory.repository import CONTAINER, SHARD_ID, InventoryRepository
from shared.kernel.ids import EventId, OrderId, OrganiserId, PoolId
from shared.store.embedded import EmbeddedStore
from shared.store.port import Everywhere, OrderBy, Page, Patch, Store, Where
from shared.topology import topology
from tests.doubles.stores import Passing
from tests.factories.catalog import NOW

POOL = Pool(organiser_id=OrganiserId("org_a"), event_id=EventId("evt_a"), pool_id=PoolId("pool_a"), shards=2)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = EmbeddedStore(tmp_path / "store.db", topology(), b"s" * 32)
    await Holds(InventoryRepository(made)).open(POOL, 20)
    yield made
    made.close()


async def hold(store: Store, order_id: str, quantity: int = 3) -> None:
    await Holds(InventoryRepository(store)).hold(
        order_id=OrderId(order_id), attempt=1, demands=[(POOL, quantity)], now=NOW
    )


async def test_what_was_found_right_is_looked_at_again_only_when_it_changes(store: Store) -> None:
    audit = Audit(InventoryRepository(store))
    await hold(store, "ord_a")

    first, second = await audit.of_changes(), await audit.of_changes()
    await hold(store, "ord_b")
    third = await Audit(InventoryRepository(store)).of_changes()  # a process that knows nothing of the others

    assert [(found.shards, found.violations) for found in (first, second, third)] == [(2, []), (0, []), (1, [])]
    assert (await audit.of_everything()).available == 14


async def test_what_is_wrong_is_found_again_until_it_is_mended(store: Store) -> None:
    audit = Audit(InventoryRepository(store))
    await hold(store, "ord_a")
    [partition] = [
        read.document.partition async for read in InventoryRepository(store).shards(unaudited=True) if read.shard.held
    ]

    await store.commit(CONTAINER, partition, [Patch(SHARD_ID, increments={"held": -1, "sold": 1})])
    wrong = [(await audit.of_changes()).violations for _ in range(2)]
    await store.commit(CONTAINER, partition, [Patch(SHARD_ID, increments={"held": 1, "sold": -1})])

    assert wrong == [[f"{partition}: held is 2, its holds say 3", f"{partition}: sold is 1, its holds say 0"]] * 2
    assert (await audit.of_changes()).violations == []
    assert (await audit.of_changes()).shards == 0


async def test_whatever_moves_places_has_its_shard_looked_at_again(store: Store) -> None:
    audit, holds = Audit(InventoryRepository(store)), Holds(InventoryRepository(store))
    looked_at = []
    for order_id, ways in (("ord_a", [holds.sell, holds.restock]), ("ord_b", [holds.free])):
        held = await holds.hold(order_id=OrderId(order_id), attempt=1, demands=[(POOL, 3)], now=NOW)
        await audit.of_changes()
        for way in ways:
            await way(held, order_id=OrderId(order_id))
            looked_at.append((await audit.of_changes()).shards)

    assert looked_at == [1, 1, 1]


async def test_a_hold_that_changed_behind_its_shards_back_is_found_by_hand(store: Store) -> None:
    audit = Audit(InventoryRepository(store))
    await hold(store, "ord_a")
    [partition] = [
        read.document.partition async for read in InventoryRepository(store).shards(unaudited=True) if read.shard.held
    ]
    await audit.of_changes()

    await store.commit(CONTAINER, partition, [Patch(hold_id(OrderId("ord_a"), 1), sets={"state": "freed"})])

    assert (await audit.of_changes()).shards == 0
    assert (await audit.of_everything()).violations == [f"{partition}: held is 3, its holds say 0"]


class Selling(Passing):
    """Sells one more place whenever the holds of a shard are being summed."""

    sold = 0

    async def query(
        self,
        container: str,
        partition: str | Everywhere,
        *,
        where: Sequence[Where] = (),
        order_by: OrderBy | None = None,
        limit: int = 50,
        continuation: str | None = None,
    ) -> Page:
        """See `Store.query`."""
        page = await self.inner.query(container, partition, where=where, limit=limit, continuation=continuation)
        if not isinstance(partition, Everywhere):
            self.sold += 1
            for shard in range(POOL.shards):
                await InventoryRepository(self.inner).take(
                    POOL, shard, order_id=OrderId(f"ord_{self.sold}"), attempt=1, quantity=1, now=NOW
                )
        return page


async def test_a_shard_that_moves_under_its_eyes_is_neither_right_nor_wrong(store: Store) -> None:
    audit = Audit(InventoryRepository(Selling(store)))

    found = await audit.of_changes()

    assert (found.shards, found.moving, found.violations) == (2, 2, [])
    assert (await Audit(InventoryRepository(store)).of_changes()).shards == 2
