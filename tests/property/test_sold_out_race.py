"""Lists learn whether an event is sold out, however changes of its stock and those who follow them come together."""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from functions.catalog.events import Event
from functions.catalog.listing import PUBLIC_LIST, organiser_list
from functions.catalog.repository import LISTINGS
from functions.composition import Adapters, UseCases, use_cases
from functions.inventory.pools import Allocation, Shard
from functions.inventory.repository import SHARD_ID, InventoryRepository
from shared.kernel.ids import OrderId
from shared.store.port import Busy, Document, Store
from tests.doubles.stores import Passing
from tests.factories import catalog
from tests.factories import settings as factory
from tests.property.interleaving import SteppingStore, Turns, Work, every_schedule

SCHEDULES_MAX = 80 * int(os.environ.get("TORTURE_ROUNDS", "1"))
CAPACITY = 2
SPLITS = [1, 2]  # shards
GIVEN_BACK = [1, 2]  # places

pytestmark = pytest.mark.torture


class LooksOnce(Passing):
    """Whoever reads a shard again is told what it was told before."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self._told: dict[str, Document] = {}

    async def read(self, container: str, partition: str, id: str) -> Document:  # noqa: A002 - the field's own word
        """See `Store.read`."""
        if id != SHARD_ID:
            return await super().read(container, partition, id)
        if partition not in self._told:
            self._told[partition] = await super().read(container, partition, id)
        return self._told[partition]


@dataclass
class House:
    """A house with one event of two places."""

    data: Path
    adapters: Adapters
    event: Event
    split: int

    def cases(self, store: Store | None = None) -> UseCases:
        """Use cases of a process of their own."""
        return use_cases(factory.settings(self.data), replace(self.adapters, store=store or self.adapters.store))

    async def shards(self) -> list[Shard]:
        """The shards, as a change feed would show them now."""
        inventory, pool = InventoryRepository(self.adapters.store), catalog.pools_of(self.event)[0]
        return [await inventory.shard(pool.pool_id, number) for number in range(self.split)]

    async def hold(self, name: str) -> list[Allocation]:
        """A place taken by an order."""
        demands = [(catalog.pools_of(self.event)[0], 1)]
        return await self.cases().holds.hold(order_id=OrderId(name), attempt=1, demands=demands, now=catalog.NOW)

    async def listed(self) -> list[bool]:
        """What both lists say."""
        lists = (PUBLIC_LIST, organiser_list(self.event.organiser_id))
        found = [await self.adapters.store.read(LISTINGS, each, self.event.event_id) for each in lists]
        return [document.value["sold_out"] for document in found]

    async def truth(self) -> bool:
        """Whether nothing is left."""
        return sum(shard.available for shard in await self.shards()) == 0


async def open_house(data: Path, adapters: Adapters, name: str, split: int) -> House:
    """The event, on sale and listed, its places split over so many shards."""
    cases = use_cases(factory.settings(data), adapters)
    event = await catalog.on_sale(cases, catalog.event(name=name, pools={"floor": CAPACITY}, shards=split))
    await cases.relisting.relist([event], now=catalog.NOW)
    return House(data, adapters, event, split)


async def mistakes(
    data: Path, racer: str, through: Callable[[Store], Store], *, split: int = 2, given_back: int = 1
) -> list[str]:
    """What the lists said at the end of each race where it was not true, or who gave up.

    The event is sold out. One process follows that change, or lists the event anew; meanwhile places come back, and
    another process follows that.

    :param split: over how many shards the places are
    :param given_back: how many places come back
    """
    found = []
    with factory.adapters(data) as adapters:
        for number, turns in enumerate(every_schedule(schedules_max=SCHEDULES_MAX, seed=7)):
            house = await open_house(data, adapters, f"race {number}", split)
            sold = {name: await house.hold(name) for name in ("first", "second")}
            before = await house.shards()

            def process(turns: Turns = turns) -> Store:
                return through(SteppingStore(adapters.store, turns))

            async def late(house: House = house, before: list[Shard] = before) -> None:
                await house.cases(process()).relisting.follow_stock(before, now=catalog.NOW)

            async def back(house: House = house, sold: dict[str, list[Allocation]] = sold) -> None:
                for name in list(sold)[:given_back]:
                    await house.cases(process()).holds.free(sold[name], order_id=OrderId(name))
                await house.cases(process()).relisting.follow_stock(await house.shards(), now=catalog.NOW)

            async def relisted(house: House = house) -> None:
                await house.cases(process()).relisting.relist([house.event.cancelled()], now=catalog.NOW)

            works: dict[str, Work] = {racer: {"late": late, "relisted": relisted}[racer], "back": back}
            results = await turns.drive(works)
            gave_up = [repr(each) for each in results.values() if isinstance(each, BaseException)]
            said, true = await house.listed(), await house.truth()
            if gave_up or said != [true, true]:
                found.append(f"{turns.taken}: {gave_up}, {said} instead of {true}")
    return found


@pytest.mark.parametrize("racer", ["late", "relisted"])
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("given_back", GIVEN_BACK)
async def test_the_lists_say_what_is_true_in_the_end_whoever_goes_first(
    tmp_path: Path, racer: str, split: int, given_back: int
) -> None:
    wrong = await mistakes(tmp_path, racer, lambda store: store, split=split, given_back=given_back)

    assert wrong == []


@pytest.mark.parametrize("racer", ["late", "relisted"])
async def test_who_does_not_look_again_after_writing_leaves_lists_that_are_wrong(tmp_path: Path, racer: str) -> None:
    wrong = await mistakes(tmp_path, racer, LooksOnce)

    assert wrong != []


@dataclass
class BusyLater(Passing):
    """Throttles every look at a shard after the first so many."""

    inner: Store
    looks: int

    async def read(self, container: str, partition: str, id: str) -> Document:  # noqa: A002 - the field's own word
        """See `Store.read`."""
        if id == SHARD_ID:
            self.looks -= 1
            if self.looks < 0:
                raise Busy("Throttled.")
        return await super().read(container, partition, id)


@pytest.mark.parametrize("looks", [1, 2, 3])
async def test_who_wrote_and_could_not_look_again_is_put_right_by_the_next_change(tmp_path: Path, looks: int) -> None:
    with factory.adapters(tmp_path) as adapters:
        house = await open_house(tmp_path, adapters, "interrupted", 1)
        sold = {name: await house.hold(name) for name in ("first", "second")}
        interrupted = house.cases(BusyLater(adapters.store, looks))
        with pytest.raises(Busy):
            await interrupted.relisting.follow_stock(await house.shards(), now=catalog.NOW)
        between = await house.listed()
        for name, held in sold.items():
            await house.cases().holds.free(held, order_id=OrderId(name))

        await house.cases().relisting.follow_stock(await house.shards(), now=catalog.NOW)

        assert True in between
        assert await house.listed() == [False, False]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("seed", range(10))
async def test_changes_may_come_late_twice_and_in_any_order(tmp_path: Path, seed: int, split: int) -> None:
    draw = random.Random(seed)
    with factory.adapters(tmp_path) as adapters:
        house = await open_house(tmp_path, adapters, "shuffled", split)
        history: list[Shard] = []
        holdings: list[tuple[str, list[Allocation]]] = []
        for number in range(20):
            if holdings and (draw.random() < 0.5 or await house.truth()):
                name, held = holdings.pop(draw.randrange(len(holdings)))
                await house.cases().holds.free(held, order_id=OrderId(name))
            elif not await house.truth():
                holdings.append((f"order {number}", await house.hold(f"order {number}")))
            history += await house.shards()
            if draw.random() < 0.3:
                await house.cases().relisting.follow_stock(draw.choices(history, k=3), now=catalog.NOW)

        rest = [*draw.choices(history, k=30), *await house.shards()]
        draw.shuffle(rest)
        for shard in rest:
            await house.cases().relisting.follow_stock([shard], now=catalog.NOW)

        assert await house.listed() == [await house.truth()] * 2
