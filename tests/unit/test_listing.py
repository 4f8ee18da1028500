"""Listings: what an event is found and sorted by, and how lists are kept."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from functions.catalog.events import Event
from functions.catalog.filtering import FACET_VALUES_MAX, Facet, FacetValue, facet_values
from functions.catalog.listing import PUBLIC_LIST, SCHEMA, SEARCH_CHARACTERS_MAX, Listing, organiser_list
from functions.catalog.repository import LISTINGS
from functions.composition import use_cases
from functions.inventory.pools import Shard
from functions.inventory.repository import InventoryRepository
from shared.kernel.ids import OrderId
from shared.store.embedded import EmbeddedStore
from shared.store.port import Count, Create, Document, NotFound, Store, Write
from shared.topology import topology
from tests.contract.harness import FakeClock
from tests.doubles.stores import Passing
from tests.factories import catalog
from tests.factories import settings as factory


def test_names_are_searched_before_a_long_description_and_each_word_once() -> None:
    draft = catalog.event(name="Señor Söze").model_copy(
        update={"description": "señor " + " ".join(map(str, range(5_000)))}
    )

    listing = Listing.of(draft, sold_out=False)

    assert listing.search.split()[:9] == ["senor", "soze", "the", "hall", "ghent", "school", "music", "0", "1"]
    assert SEARCH_CHARACTERS_MAX - 10 < len(listing.search) <= SEARCH_CHARACTERS_MAX
    assert listing.search.split().count("senor") == 1


def test_the_month_is_the_one_at_the_venue() -> None:
    new_year = catalog.event(starts_at=datetime(2029, 12, 31, 23, 30, tzinfo=UTC))

    assert Listing.of(new_year, sold_out=False).month == "2030-01"


def test_a_facet_joins_spellings_and_shows_the_usual_one() -> None:
    counts = [Count(("zurich", "Zürich"), 5), Count(("bern", "Bern"), 6), Count(("zurich", "ZURICH"), 2)]

    assert facet_values(Facet.CITY, counts) == [FacetValue("Zürich", 7), FacetValue("Bern", 6)]


def test_a_facet_has_a_bound() -> None:
    months = [Count((f"2{number:03}-01",), 1) for number in reversed(range(FACET_VALUES_MAX + 1))]

    found = facet_values(Facet.MONTH, months)

    assert [value.value for value in found] == [f"2{number:03}-01" for number in range(FACET_VALUES_MAX)]


class Counting(Passing):
    """Counts what is asked of the store."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.reads = self.commits = 0

    async def read(self, container: str, partition: str, id: str) -> Document:  # noqa: A002 - the field's own word
        """See `Store.read`."""
        self.reads += 1
        return await super().read(container, partition, id)

    async def commit(self, container: str, partition: str, writes: Sequence[Write]) -> Sequence[str]:
        """See `Store.commit`."""
        self.commits += 1
        return await super().commit(container, partition, writes)


async def shards(store: Store, event: Event) -> list[Shard]:
    return [await InventoryRepository(store).shard(pool.pool_id, 0) for pool in catalog.pools_of(event)]


async def test_a_hundred_holds_cost_each_list_one_read_unless_the_event_sells_out(tmp_path: Path) -> None:
    with factory.adapters(tmp_path) as adapters:
        cases = use_cases(factory.settings(tmp_path), adapters)
        event = await catalog.on_sale(cases, catalog.event(pools={"floor": 101}))
        await cases.relisting.relist([event], now=catalog.NOW)
        seen = []
        for number in range(100):
            demands = [(catalog.pools_of(event)[0], 1)]
            await cases.holds.hold(order_id=OrderId(f"ord {number}"), attempt=1, demands=demands, now=catalog.NOW)
            seen += await shards(adapters.store, event)
        store = Counting(adapters.store)
        following = use_cases(factory.settings(tmp_path), replace(adapters, store=store))

        await following.relisting.follow_stock(seen, now=catalog.NOW)

        assert (store.reads, store.commits) == (2, 0)


async def test_a_listing_that_is_marked_still_leaves_the_list_when_its_event_is_over(tmp_path: Path) -> None:
    clock = FakeClock(catalog.NOW)
    store = EmbeddedStore(tmp_path / "store.db", topology(), factory.SIGNING_SECRET.encode(), now=clock)
    with factory.adapters(tmp_path, store=store) as adapters:
        cases = use_cases(factory.settings(tmp_path), adapters)
        draft = catalog.event(pools={"floor": 1}, starts_at=catalog.NOW + timedelta(days=10))
        event = await catalog.on_sale(cases, draft)
        await cases.relisting.relist([event], now=clock())
        await clock.pass_time(9 * 86_400)
        demands = [(catalog.pools_of(event)[0], 1)]
        await cases.holds.hold(order_id=OrderId("ord"), attempt=1, demands=demands, now=clock())
        await cases.relisting.follow_stock(await shards(store, event), now=clock())
        assert (await store.read(LISTINGS, PUBLIC_LIST, event.event_id)).value["sold_out"] is True

        await clock.pass_time(86_400 + 3 * 3_600 + 1)

        assert (await cases.browsing.public_list(limit=10, continuation=None)).documents == []
        own = await store.read(LISTINGS, organiser_list(event.organiser_id), event.event_id)
        assert own.value["sold_out"] is True
    store.close()


async def test_listings_from_before_searching_are_written_anew(tmp_path: Path) -> None:
    with factory.adapters(tmp_path) as adapters:
        cases = use_cases(factory.settings(tmp_path), adapters)
        event = await catalog.on_sale(cases)
        new = {"name_key", "city_key", "category_key", "search", "month", "currency", "price_minor", "sold_out"}
        whole = Listing.of(event, sold_out=False).model_dump(mode="json")
        old = {name: value for name, value in whole.items() if name not in new | {"schema_version"}}
        await adapters.store.commit(LISTINGS, PUBLIC_LIST, [Create(event.event_id, {"kind": "listing", **old}, 99)])

        before = await cases.browsing.public_list(limit=10, continuation=None)
        await cases.relisting.relist([event], now=catalog.NOW)
        after = await cases.browsing.public_list(limit=10, continuation=None)

        assert [document.value for document in before.documents] == [{"kind": "listing", "list_id": PUBLIC_LIST, **old}]
        assert [document.value for document in after.documents] == [
            {"kind": "listing", "list_id": PUBLIC_LIST, "schema_version": SCHEMA, **whole}
        ]


async def test_changed_stock_of_an_event_that_is_in_no_list_is_left_alone(tmp_path: Path) -> None:
    with factory.adapters(tmp_path) as adapters:
        cases = use_cases(factory.settings(tmp_path), adapters)
        event = await catalog.on_sale(cases)

        await cases.relisting.follow_stock(await shards(adapters.store, event), now=catalog.NOW)

        for list_id in (PUBLIC_LIST, organiser_list(event.organiser_id)):
            with pytest.raises(NotFound):
                await adapters.store.read(LISTINGS, list_id, event.event_id)
