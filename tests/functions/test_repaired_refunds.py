"""Places of a refunded order go back on sale, even if the event that says so never reaches the stock."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from functions.composition import UseCases, use_cases
from functions.inventory.pools import Availability
from functions.sales.orders import Method, Order
from functions.sales.repair import GRACE
from functions.sales.states import OrderState
from shared.telemetry import counters
from tests.doubles.mailbag import Mailbag
from tests.factories import catalog, sales
from tests.factories import settings as factory

LATER = catalog.NOW + 2 * GRACE


@pytest.fixture
async def cases(tmp_path: Path) -> AsyncIterator[UseCases]:
    with factory.adapters(tmp_path, bus=Mailbag()) as adapters:
        yield use_cases(factory.settings(tmp_path), adapters)


async def refunded(cases: UseCases) -> Order:
    """An order whose places were sold and whose money went back, and nobody has heard of it yet."""
    published = await catalog.on_sale(cases)
    order = await cases.placing.place(
        sales.wanted(published.event_id, method=Method.DESK),
        order_id=sales.order_id(), caller=catalog.owner(published.organiser_id), now=catalog.NOW,
    )  # fmt: skip
    await cases.holds.sell(order.held, order_id=order.order_id)
    await cases.settlement.refund(order.order_id, caller=catalog.owner(order.organiser_id), now=catalog.NOW)
    return await cases.refunding.run(order.order_id, now=catalog.NOW)


async def left(cases: UseCases, order: Order) -> Availability:
    return await cases.holds.availability(order.pools[0])


async def test_a_refund_nobody_heard_of_gives_its_places_back(cases: UseCases) -> None:
    order = await refunded(cases)
    before, repaired = await left(cases, order), counters().get("holds_repaired", 0)

    looked_at = [await cases.repair.overdue_orders(moment) for moment in (catalog.NOW, LATER, LATER)]

    after = await left(cases, order)
    assert order.state is OrderState.REFUNDED
    assert (before.sold, after.sold) == (order.quantity, 0)
    assert after.available == before.available + order.quantity
    assert looked_at == [0, 1, 0]
    assert counters().get("holds_repaired", 0) == repaired + 1


async def test_a_refund_whose_places_went_back_already_changes_nothing_more(cases: UseCases) -> None:
    order = await refunded(cases)
    await cases.holds.restock(order.held, order_id=order.order_id)
    before, repaired = await left(cases, order), counters().get("holds_repaired", 0)

    await cases.repair.overdue_orders(LATER)

    assert await left(cases, order) == before
    assert counters().get("holds_repaired", 0) == repaired
    assert (await cases.audit.of_everything()).violations == []
