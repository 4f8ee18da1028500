"""The reader of Cosmos DB's double: it finds what was written, and knows whether a feed has seen it."""

from pathlib import Path

from functions.sales.repository import ORDERS
from local.host.cosmos_feed import CosmosFeed
from tests.factories import sales
from tests.faults.databases import feeds_behind, read_documents
from tests.faults.till import opened


async def test_a_feed_is_behind_until_it_has_seen_the_last_change_of_each_range(tmp_path: Path) -> None:
    folder = tmp_path / "cosmos"
    folder.mkdir()
    async with opened(folder) as till:
        feed = CosmosFeed(till.inner._account, till.inner)
        assert await feed.acquire(ORDERS, "relay", owner="me", seconds=60)
        behind = [feeds_behind(tmp_path)]
        for change in (till.place, till.paid_at_the_provider):
            await change()
            behind.append(feeds_behind(tmp_path))
            while (batch := await feed.changes(ORDERS, "relay", owner="me", limit=100)) is not None:
                await feed.advance(ORDERS, "relay", owner="me", position=batch.position)
            behind.append(feeds_behind(tmp_path))
        order = await till.order()

    assert behind == [[], ["orders.relay"], [], ["orders.relay"], []]
    assert read_documents(tmp_path)[ORDERS, sales.order_id(), "order"]["version"] == order.version
