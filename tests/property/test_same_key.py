"""One Idempotency-Key is one order: in sequence, at once, in two processes; and a refusal is not remembered."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from functions.catalog.events import Event
from functions.composition import Adapters, UseCases, use_cases
from functions.inventory.holds import PoolShort
from functions.inventory.pools import Availability
from functions.sales.orders import Method, Order
from functions.sales.states import OrderState
from shared.kernel.clock import utc_now
from shared.kernel.errors import KeyReused
from tests.doubles.mailbag import Mailbag
from tests.factories import catalog, sales
from tests.factories import settings as factory
from tests.faults.processes import Worker
from tests.property.backroom import Backroom, nothing_else
from tests.property.crowd import Round, order_of

AT_ONCE = 8
ROUNDS = 5  # of so many keys at once: all of them must be through before one stands still for `placing.PATIENCE`


class Shop:
    """An event with 10 places, and use cases as fresh as another instance's whenever they are asked for."""

    def __init__(self, data: Path, adapters: Adapters, event: Event) -> None:
        self._settings = factory.settings(data)
        self.adapters = adapters
        self.event = event

    @property
    def cases(self) -> UseCases:
        """Use cases that remember nothing."""
        return use_cases(self._settings, self.adapters)

    async def place(self, key: str, *, places: int = 2, method: Method = Method.CARD) -> Order:
        """An order under a key, now."""
        caller = catalog.owner() if method is Method.DESK else sales.buyer()
        return await self.cases.placing.place(
            sales.wanted(self.event.event_id, quantities={"floor": places}, method=method, caller=caller),
            order_id=sales.order_id(key, caller),
            caller=caller,
            now=utc_now(),
        )

    async def stock(self) -> Availability:
        """The floor's counters."""
        return await self.cases.holds.availability(catalog.pools_of(self.event)[0])

    async def holds_of(self, order: Order) -> list[tuple[str, int]]:
        """State and quantity of every hold there is for an order, dead ones included."""
        [pool] = catalog.pools_of(self.event)
        found: list[tuple[str, int]] = []
        for shard in range(pool.shards):
            page = await self.adapters.store.query("inventory", pool.partition(shard), limit=200)
            holds = [d.value for d in page.documents if d.value["kind"] == "hold"]
            found += [(h["state"], h["quantity"]) for h in holds if h["order_id"] == order.order_id]
        return found


@pytest.fixture(params=[1, 4])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """A shop whose pool is one shard, or several."""
    with factory.adapters(tmp_path, bus=Mailbag()) as adapters:
        draft = catalog.event(pools={"floor": 10}, shards=request.param)
        event = asyncio.run(catalog.on_sale(use_cases(factory.settings(tmp_path), adapters), draft))
        yield Shop(tmp_path, adapters, event)


async def test_the_same_request_again_gives_the_same_order(shop: Shop) -> None:
    first = await shop.place("key")
    again = await shop.place("key")

    assert again == first
    assert await shop.holds_of(first) == [("held", 2)]
    assert (await shop.stock()).held == 2


@pytest.mark.parametrize("method", [Method.CARD, Method.DESK])
async def test_the_same_request_many_times_at_once_is_one_order(shop: Shop, method: Method) -> None:
    answers = await asyncio.gather(*(shop.place("key", places=3, method=method) for _ in range(AT_ONCE)))

    assert all(answer == answers[0] for answer in answers)
    assert answers[0].state is (OrderState.PLACED if method is Method.CARD else OrderState.PAID)
    assert answers[0].attempt == 1, "somebody did not wait for the first"
    assert sum(quantity for _, quantity in await shop.holds_of(answers[0])) == 3
    assert (await shop.stock()).held == 3


async def test_the_last_places_wanted_twice_under_one_key_are_sold_to_it(shop: Shop) -> None:
    """Were the second to try on its own, it would find nothing left and call the order refused."""
    answers = await asyncio.gather(*(shop.place("key", places=10) for _ in range(AT_ONCE)))

    assert {answer.state for answer in answers} == {OrderState.PLACED}
    assert (await shop.stock()).available == 0


async def test_the_key_with_another_body_is_refused_and_nothing_changes(shop: Shop) -> None:
    first = await shop.place("key")

    with pytest.raises(KeyReused):
        await shop.place("key", places=3)
    with pytest.raises(KeyReused):
        await shop.place("key", places=11)

    assert await shop.place("key") == first
    assert (await shop.stock()).held == 2


async def test_two_bodies_under_one_key_at_once_are_one_order_and_one_refusal(shop: Shop) -> None:
    answers = await asyncio.gather(shop.place("key"), shop.place("key", places=3), return_exceptions=True)

    [order] = [answer for answer in answers if isinstance(answer, Order)]
    assert [type(answer) for answer in answers if answer is not order] == [KeyReused]
    assert (await shop.stock()).held == order.quantity


async def test_a_refusal_is_not_remembered(shop: Shop) -> None:
    other = await shop.place("other", places=9)
    with pytest.raises(PoolShort):
        await shop.place("key")
    refused = await shop.cases.orders.for_mail(sales.order_id("key"))
    assert refused.state is OrderState.REFUSED

    await shop.cases.settlement.cancel(other.order_id, caller=sales.buyer(), now=utc_now())
    await Backroom(shop.cases, shop.adapters).drain([other.order_id], now=utc_now(), every=nothing_else)
    placed = await shop.place("key")

    assert (placed.order_id, placed.state, placed.attempt) == (refused.order_id, OrderState.PLACED, 2)
    assert (await shop.stock()).held == 2


async def test_what_was_bought_stays_bought_when_the_event_is_called_off(shop: Shop) -> None:
    first = await shop.place("key")
    await shop.cases.managing.cancel(shop.event.event_id, caller=catalog.owner(), now=utc_now())

    assert await shop.place("key") == first


@pytest.mark.xdist_group("on-sale")
def test_the_same_keys_in_two_processes_are_one_order_each(tmp_path: Path) -> None:
    rounds = [{f"key {n} of {each}": 1 + n % 6 for n in range(AT_ONCE)} for each in range(ROUNDS)]
    wants = {key: places for each in rounds for key, places in each.items()}
    with factory.adapters(tmp_path, bus=Mailbag()) as adapters, ExitStack() as stack:
        cases = use_cases(factory.settings(tmp_path), adapters)
        draft = catalog.event(pools={"floor": sum(wants.values())}, shards=4)  # each place is wanted by somebody
        event = asyncio.run(catalog.on_sale(cases, draft))
        [pool] = catalog.pools_of(event)
        both = [Worker("buyers", tmp_path, f"b{n}", module="tests.property.crowd") for n in range(2)]
        for worker in both:
            stack.callback(worker.close)
            worker.wait_ready()
        for each in rounds:
            for worker in both:
                worker.tell(Round(event.event_id, [pool], each).line())
            assert [worker.line() for worker in both] == [dict.fromkeys(each, OrderState.PAID.value)] * 2

        stock = asyncio.run(cases.holds.availability(pool))
        assert (stock.available, stock.held) == (0, sum(wants.values()))
        orders = [asyncio.run(cases.orders.for_mail(order_of(key))) for key in wants]
        assert {order.attempt for order in orders} == {1}
