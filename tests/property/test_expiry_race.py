"""Payment at the very moment of expiry or cancellation: whatever goes first, one of two things comes of it.

Either the order is paid, has its tickets, and the money is kept; or it is not, and all money went back.
"""

import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from functions.composition import Adapters, UseCases, use_cases
from functions.inventory.pools import Pool
from functions.sales.orders import Order
from functions.sales.settling import report_of
from functions.sales.states import OrderState, OrderStateRefused
from shared.kernel.ids import OrderId
from shared.payments.port import Session, SessionStatus
from shared.store.port import Store
from tests.doubles.mailbag import Mailbag
from tests.doubles.provider import PaymentDeclined, Provider
from tests.doubles.stores import Blind
from tests.factories import catalog, sales
from tests.factories import settings as factory
from tests.property.backroom import Backroom, nothing_else
from tests.property.interleaving import SteppingPayments, SteppingStore, Turns, Work, every_schedule

SCHEDULES_MAX = 150 * int(os.environ.get("TORTURE_ROUNDS", "1"))
QUANTITY = 2
SOLD, NOT_SOLD = "sold", "not sold"

pytestmark = pytest.mark.torture


@dataclass
class Shop:
    """A product on a store, with a provider; every race is about an order of its own."""

    data: Path
    adapters: Adapters
    cases: UseCases
    provider: Provider
    pool: Pool
    races: int = 0
    sold: int = 0

    async def placed(self) -> Order:
        """An order that waits for its payment."""
        self.races += 1
        event = catalog.event(pools={"floor": 100_000})
        return await self.cases.placing.place(
            sales.wanted(event.event_id, quantities={"floor": QUANTITY}),
            order_id=sales.order_id(f"race {self.races}"),
            caller=sales.buyer(),
            now=catalog.NOW,
        )

    async def open_checkout(self, order: Order) -> Order:
        """The order with its checkout."""
        return await self.cases.checkouts.open(order.order_id, caller=sales.buyer(), now=catalog.NOW)

    async def race(self, turns: Turns, order: Order, *racers: str) -> str:
        """What came of the order after `racers` raced for it by turns and everything was settled."""
        store = SteppingStore(self.adapters.store, turns)
        stepping = replace(self.adapters, store=store, payments=SteppingPayments(self.provider, turns))
        actions = Actions(use_cases(factory.settings(self.data), stepping), self.provider, turns, order)
        results = await turns.drive({name: actions.by_name()[name.partition(" ")[0]] for name in racers})
        for result in results.values():
            if isinstance(result, Exception) and not isinstance(result, OrderStateRefused | PaymentDeclined):
                return f"failed: {result!r}"
        await Backroom(self.cases, self.adapters).drain([order.order_id], now=order.deadline, every=nothing_else)
        return await self._judged(order.order_id)

    async def _judged(self, order_id: OrderId) -> str:
        order = await self.cases.orders.for_mail(order_id)
        tickets = await self.adapters.store.query("orders", order_id, limit=200)
        valid = sum(d.value["kind"] == "ticket" and d.value["state"] == "valid" for d in tickets.documents)
        stock = await self.cases.holds.availability(self.pool)
        new, self.sold = stock.sold - self.sold, stock.sold
        refunded = sum(order_id in refund_id for refund_id in self.provider.refunds)
        seen = (order.state, valid, new, stock.held, self.provider.balance(order_id), refunded)
        if seen == (OrderState.PAID, QUANTITY, QUANTITY, 0, order.total.amount_minor, 0):
            return SOLD
        ended = order.state in {OrderState.EXPIRED, OrderState.CANCELLED, OrderState.REFUNDED}
        if ended and seen[1:5] == (0, 0, 0, 0):
            return NOT_SOLD
        return f"neither: {seen}"


@dataclass
class Actions:
    """What may happen to an order at the same moment."""

    cases: UseCases
    provider: Provider
    turns: Turns
    order: Order

    def by_name(self) -> Mapping[str, Work]:
        """Each action by its name."""
        return {
            "expire": lambda: self.cases.settlement.expire(self.order.order_id, now=self.order.deadline),
            "cancel": lambda: self.cases.settlement.cancel(
                self.order.order_id, caller=sales.buyer(), now=self.order.deadline
            ),
            "complete": self.complete,
            "lose": self.pay,
            "buy": self.buy,
        }

    async def complete(self) -> None:
        """The buyer pays, the provider reports it."""
        await self.pay()
        await self._report()

    async def buy(self) -> None:
        """The buyer opens the checkout, pays at once, the provider reports it."""
        await self.cases.checkouts.open(self.order.order_id, caller=sales.buyer(), now=catalog.NOW)
        await self.complete()

    async def pay(self) -> None:
        """The buyer pays; the report is lost."""
        await self.turns.wait()
        for session in self.provider.sessions_of(self.order.order_id):
            self.provider.pay(session.session_id)

    async def _report(self) -> None:
        for session in self.provider.sessions_of(self.order.order_id):
            await self.cases.settlement.settle(report_of(session, self.order, self.order.deadline), now=catalog.NOW)


@asynccontextmanager
async def shop(
    data: Path, *, blind: bool = False, provider_of: Callable[..., Provider] = Provider
) -> AsyncIterator[Shop]:
    """A shop with an event on sale; `blind`: its store asks for no etag."""
    provider = provider_of(clock=lambda: catalog.NOW)
    with factory.adapters(data, bus=Mailbag(), payments=provider) as adapters:
        store: Store = Blind(adapters.store) if blind else adapters.store
        chosen = replace(adapters, store=store)
        cases = use_cases(factory.settings(data), chosen)
        event = await catalog.on_sale(cases, catalog.event(pools={"floor": 100_000}))
        yield Shop(data, chosen, cases, provider, catalog.pools_of(event)[0])


async def outcomes(shop: Shop, *racers: str) -> Counter[str]:
    """How often each outcome came of every interleaving of `racers`."""
    seen: Counter[str] = Counter()
    for turns in every_schedule(SCHEDULES_MAX):
        order = await shop.placed()
        if "buy" not in racers:
            order = await shop.open_checkout(order)
        seen[await shop.race(turns, order, *racers)] += 1
    return seen


@pytest.mark.parametrize(
    "racers",
    [
        ("expire", "complete"),
        ("cancel", "complete"),
        ("expire", "buy"),
        ("cancel", "buy"),
        ("expire", "lose"),
        ("expire", "complete", "complete again"),
        ("expire", "expire again", "complete"),
        ("expire", "cancel", "complete"),
        ("expire", "cancel", "buy"),
    ],
    ids=" x ".join,
)
async def test_paid_with_tickets_or_not_sold_and_all_money_back(tmp_path: Path, racers: tuple[str, ...]) -> None:
    async with shop(tmp_path) as here:
        seen = await outcomes(here, *racers)

    assert seen.keys() == {SOLD, NOT_SOLD}, seen


async def test_without_the_etag_some_interleaving_sells_what_was_given_back(tmp_path: Path) -> None:
    async with shop(tmp_path, blind=True) as here:
        seen = await outcomes(here, "cancel", "buy")

    assert any(outcome.startswith("neither") for outcome in seen), seen


class Careless(Provider):
    """Answers that a session is expired without having looked: as if we had not asked."""

    async def expire_session(self, session_id: str) -> Session:
        """See `Payments.expire_session`."""
        return replace(await self.session(session_id), status=SessionStatus.EXPIRED)


async def test_without_expiring_the_session_first_a_lost_report_keeps_the_money_for_nothing(tmp_path: Path) -> None:
    async with shop(tmp_path, provider_of=Careless) as here:
        seen = await outcomes(here, "expire", "lose")

    assert any(outcome.startswith("neither") for outcome in seen), seen


@pytest.mark.parametrize("closing", ["expire", "cancel"])
async def test_a_payment_that_comes_after_all_goes_back(tmp_path: Path, closing: str) -> None:
    async with shop(tmp_path, provider_of=Careless) as here:
        seen = await outcomes(here, closing, "complete")
        refunded = len(here.provider.refunds)

    assert seen.keys() == {SOLD, NOT_SOLD}, seen
    assert refunded == seen[NOT_SOLD], "each was paid too late"
