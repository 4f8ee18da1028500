"""A shop in the test over the real Cosmos DB adapter and SDK, and an emulator that fails when it is told to."""

import base64
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from functions.composition import Adapters, UseCases, use_cases
from functions.inventory.pools import Availability, Pool
from functions.sales.bus import REFUNDS, consumers
from functions.sales.orders import Order
from functions.sales.repository import ORDERS
from functions.sales.webhook import PAYMENTS_QUEUE
from local.emulators.cosmos.app import build
from local.emulators.cosmos.signatures import Gate, MasterKey
from local.emulators.serving import served
from shared.bus.port import Message
from shared.events.sales import PaymentReported
from shared.kernel.ids import EventId
from shared.store.cosmos import CosmosStore
from shared.store.cosmos_account import THROTTLED_TRIES, CosmosAccount
from shared.store.guarded import GuardedStore
from shared.topology import topology
from tests.doubles.host import queue_function
from tests.doubles.mailbag import Mailbag
from tests.doubles.provider import Provider
from tests.factories import catalog, sales
from tests.factories import settings as factory
from tests.property.backroom import STOCK, Backroom

CAPACITY: Final = 10
BEYOND_THE_SDK: Final = THROTTLED_TRIES + 1

ORDERS_READ: Final = {"operation": "read", "container": "orders"}
ORDERS_WRITTEN: Final = {"operation": "batch", "container": "orders"}
HOLDS_WRITTEN: Final = {"operation": "batch", "container": "inventory"}

type Rule = dict[str, Any]


@dataclass
class Till:
    """A shop over Cosmos DB with one event on sale, and its double's controls."""

    cases: UseCases
    adapters: Adapters
    provider: Provider
    bag: Mailbag
    faults: httpx.AsyncClient
    inner: CosmosStore
    pool: Pool
    event_id: EventId

    async def fail(self, **rule: Any) -> None:
        """The double does this to the next requests that match; once, unless `times` says otherwise."""
        (await self.faults.post("/_emulator/faults", json={"times": 1, **rule})).raise_for_status()

    async def hits(self) -> int:
        """How many requests it did something to."""
        return int((await self.faults.get("/_emulator/faults")).raise_for_status().json()["hits"])

    async def place(self) -> Order:
        """An order for two places."""
        wanted = sales.wanted(self.event_id)
        return await self.cases.placing.place(wanted, order_id=sales.order_id(), caller=sales.buyer(), now=catalog.NOW)

    async def paid_at_the_provider(self) -> Message:
        """An order whose buyer has paid; what the payments queue has to tell of it."""
        order = await self.place()
        opened = await self.cases.checkouts.open(order.order_id, caller=sales.buyer(), now=catalog.NOW)
        assert opened.checkout is not None
        paid = self.provider.pay(opened.checkout.session_id)
        return reported(order, payment_id=paid.payment_id, session_id=paid.session_id)

    async def deliver(self, message: Message, *, queue: str = PAYMENTS_QUEUE) -> Sequence[Message]:
        """The message to its function, and every copy of it that was put off; the copies."""
        cases = self.cases
        settle, _, refund = consumers(cases.settlement, cases.failed_payments, cases.refunding, self.bag)
        function = queue_function({PAYMENTS_QUEUE: settle, REFUNDS: refund}[queue])
        await function(message)
        copies = self.bag.take(queue)
        for copy in copies:
            await function(copy)
        return copies

    async def empty_the_outbox(self) -> None:
        """Hand on what the order published, and move its stock as it says."""
        backroom = Backroom(self.cases, self.adapters)
        await backroom.relay(sales.order_id())
        for message in self.bag.take(STOCK):
            await backroom.deliver(STOCK, message, now=catalog.NOW)

    async def order(self) -> Order:
        """The order as the store has it."""
        return await self.cases.orders.for_mail(sales.order_id())

    async def tickets(self) -> int:
        """How many tickets the order has."""
        page = await self.adapters.store.query(ORDERS, sales.order_id(), limit=100)
        return sum(document.value["kind"] == "ticket" for document in page.documents)

    async def left(self) -> Availability:
        """What is left of the pool."""
        return await self.cases.holds.availability(self.pool)


def reported(order: Order, *, payment_id: str, session_id: str) -> Message:
    """The payments queue's message: the order's total was paid."""
    report = PaymentReported(
        id=f"{order.order_id}.payment.{payment_id}",
        occurred_at=catalog.NOW,
        organiser_id=order.organiser_id,
        order_id=order.order_id,
        session_id=session_id,
        payment_id=payment_id,
        paid=True,
        amount=order.total,
    )
    return Message(report.id, "PaymentReported", report.model_dump_json().encode())


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Till]:
    """The shop on an empty account, with its one event on sale."""
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    app = build(folder / "cosmos.sqlite", Gate(MasterKey(key)), topology=topology())
    async with served(app) as endpoint, httpx.AsyncClient(base_url=endpoint) as faults:
        inner = CosmosStore(CosmosAccount(endpoint, key, topology().database), topology(), b"a secret")
        provider, bag = Provider(clock=lambda: catalog.NOW), Mailbag()
        with factory.adapters(folder, store=GuardedStore(inner), bus=bag, payments=provider) as adapters:
            cases = use_cases(factory.settings(folder), adapters)
            published = await catalog.on_sale(cases, catalog.event(pools={"floor": CAPACITY}))
            [pool] = catalog.pools_of(published)
            yield Till(cases, adapters, provider, bag, faults, inner, pool, published.event_id)
        await inner.close()
