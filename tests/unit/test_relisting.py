"""Lists go on when something of one event is missing, and say so."""

from pathlib import Path

import pytest

from functions.catalog.events import Event
from functions.catalog.listing import PUBLIC_LIST, organiser_list
from functions.catalog.repository import EVENTS, LISTINGS
from functions.composition import UseCases, use_cases
from functions.inventory.repository import CONTAINER, SHARD_ID, InventoryRepository
from shared import telemetry
from shared.kernel.ids import OrderId
from shared.store.port import Busy, Delete, Document, NotFound, Store
from tests.doubles.stores import Passing
from tests.factories import catalog
from tests.factories import settings as factory


class Throttled(Passing):
    """Has no time for shards."""

    async def read(self, container: str, partition: str, id: str) -> Document:  # noqa: A002 - the field's own word
        """See `Store.read`."""
        if id == SHARD_ID:
            raise Busy("Throttled.")
        return await super().read(container, partition, id)


async def sold(cases: UseCases, name: str) -> Event:
    """An event whose only place is taken."""
    event = await catalog.on_sale(cases, catalog.event(name=name, pools={"floor": 1}))
    demands = [(catalog.pools_of(event)[0], 1)]
    await cases.holds.hold(order_id=OrderId(name), attempt=1, demands=demands, now=catalog.NOW)
    return event


async def listed(store: Store, event: Event) -> list[bool | None]:
    """What both lists say of whether it is sold out; None where it is not listed."""
    found: list[bool | None] = []
    for list_id in (PUBLIC_LIST, organiser_list(event.organiser_id)):
        try:
            found.append((await store.read(LISTINGS, list_id, event.event_id)).value["sold_out"])
        except NotFound:
            found.append(None)
    return found


def left_out() -> int:
    """How many were."""
    return telemetry.counters().get("events_not_relisted", 0)


async def test_an_event_without_its_stock_does_not_keep_the_next_from_its_lists(tmp_path: Path) -> None:
    with factory.adapters(tmp_path) as adapters:
        cases = use_cases(factory.settings(tmp_path), adapters)
        broken, whole = await sold(cases, "broken"), await sold(cases, "whole")
        partition = catalog.pools_of(broken)[0].partition(0)
        await adapters.store.commit(CONTAINER, partition, [Delete(SHARD_ID)])
        before = left_out()

        await cases.relisting.relist([broken, whole], now=catalog.NOW)

        assert await listed(adapters.store, broken) == [None, None]
        assert await listed(adapters.store, whole) == [True, True]
        assert left_out() == before + 1


@pytest.mark.parametrize("missing", [EVENTS, CONTAINER])
async def test_stock_of_an_event_that_is_gone_does_not_keep_the_next_from_its_lists(
    tmp_path: Path, missing: str
) -> None:
    with factory.adapters(tmp_path) as adapters:
        cases = use_cases(factory.settings(tmp_path), adapters)
        drafts = [catalog.event(name=name, pools={"floor": 1}) for name in ("broken", "whole")]
        broken, whole = [await catalog.on_sale(cases, draft) for draft in drafts]
        await cases.relisting.relist([broken, whole], now=catalog.NOW)
        inventory, shards = InventoryRepository(adapters.store), []
        for event in (broken, whole):
            pool = catalog.pools_of(event)[0]
            await cases.holds.hold(order_id=OrderId(event.event_id), attempt=1, demands=[(pool, 1)], now=catalog.NOW)
            shards.append(await inventory.shard(pool.pool_id, 0))
        partition = broken.event_id if missing == EVENTS else catalog.pools_of(broken)[0].partition(0)
        await adapters.store.commit(missing, partition, [Delete("event" if missing == EVENTS else SHARD_ID)])
        before = left_out()

        await cases.relisting.follow_stock(shards, now=catalog.NOW)

        assert await listed(adapters.store, broken) == [False, False]
        assert await listed(adapters.store, whole) == [True, True]
        assert left_out() == before + 1


async def test_a_store_that_is_busy_has_the_change_brought_again(tmp_path: Path) -> None:
    with factory.adapters(tmp_path) as adapters:
        event = await sold(use_cases(factory.settings(tmp_path), adapters), "whole")
        throttled = factory.adapters(tmp_path, store=Throttled(adapters.store))
        before = left_out()

        with throttled as busy, pytest.raises(Busy):
            await use_cases(factory.settings(tmp_path), busy).relisting.relist([event], now=catalog.NOW)

        assert left_out() == before
