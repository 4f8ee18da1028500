"""Cosmos DB fails in the worst moment of a purchase: what was paid is never refused, and nothing happens twice.

The use cases run in the test over the real adapter and SDK; the emulator fails for one request of one kind at a time.
"""

import base64
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from functions.composition import Adapters, UseCases, use_cases
from functions.inventory.pools import Availability
from functions.sales.bus import consumers
from functions.sales.orders import Order
from functions.sales.repository import ORDERS
from functions.sales.states import OrderState
from functions.sales.webhook import PAYMENTS_QUEUE
from shared.bus.port import Message
from shared.events.sales import PaymentReported
from shared.kernel.errors import Contended
from shared.store.cosmos import CosmosStore
from shared.store.cosmos_account import THROTTLED_SECONDS, THROTTLED_TRIES, CosmosAccount
from shared.store.guarded import GuardedStore
from shared.store.port import Busy, StoreError, Unavailable
from shared.topology import topology
from tests.contract.cosmos import emulator
from tests.contract.harness import FakeClock
from tests.doubles.host import queue_function
from tests.doubles.mailbag import Mailbag
from tests.doubles.provider import Provider
from tests.factories import catalog, sales
from tests.factories import settings as factory

CAPACITY: Final = 10
BEYOND_THE_SDK: Final = THROTTLED_TRIES + 1

type Rule = dict[str, Any]


@dataclass
class Till:
    """A shop over Cosmos DB with one event on sale, and its double's controls."""

    cases: UseCases
    adapters: Adapters
    provider: Provider
    bag: Mailbag
    faults: httpx.AsyncClient
    pool: Any
    event_id: Any

    async def fail(self, **rule: Any) -> None:
        """The double does this to the next requests that match; once, unless `times` says otherwise."""
        (await self.faults.post("/_emulator/faults", json={"times": 1, **rule})).raise_for_status()

    async def hits(self) -> int:
        """How many requests it did something to."""
        return int((await self.faults.get("/_emulator/faults")).raise_for_status().json()["hits"])

    async def place(self) -> Order:
        """An order for two places."""
        wanted = sales.wanted(self.event_id)
        return await self.cases.placing.place(
            wanted, order_id=sales.order_id(), caller=sales.buyer(), now=catalog.NOW
        )

    async def paid_at_the_provider(self) -> Message:
        """An order whose buyer has paid; what the payments queue has to tell of it."""
        order = await self.place()
        session = await self.cases.checkouts.open(
            order.order_id, caller=sales.buyer(), site="http://localhost:7071", now=catalog.NOW
        )
        paid = self.provider.pay(session.session_id)
        report = PaymentReported(
            id=f"{order.order_id}.payment.{paid.payment_id}",
            occurred_at=catalog.NOW,
            organiser_id=order.organiser_id,
            order_id=order.order_id,
            session_id=paid.session_id,
            payment_id=paid.payment_id,
            paid=True,
            amount=paid.amount,
        )
        return Message(report.id, "PaymentReported", report.model_dump_json().encode())

    async def deliver(self, message: Message) -> Sequence[Message]:
        """The message to its function, and every copy of it that was put off; the copies."""
        cases = self.cases
        [settle, *_] = consumers(cases.settlement, cases.failed_payments, cases.refunding, self.bag)
        await queue_function(settle)(message)
        copies = self.bag.take(PAYMENTS_QUEUE)
        for copy in copies:
            await queue_function(settle)(copy)
        return copies

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


@pytest.fixture
async def till(tmp_path: Path) -> AsyncIterator[Till]:
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    async with emulator(tmp_path, key, FakeClock()) as endpoint, httpx.AsyncClient(base_url=endpoint) as faults:
        inner = CosmosStore(CosmosAccount(endpoint, key, topology().database), topology(), b"a secret")
        provider, bag = Provider(clock=lambda: catalog.NOW), Mailbag()
        with factory.adapters(tmp_path, store=GuardedStore(inner), bus=bag, payments=provider) as adapters:
            cases = use_cases(factory.settings(tmp_path), adapters)
            published = await catalog.on_sale(cases, catalog.event(pools={"floor": CAPACITY}))
            [pool] = catalog.pools_of(published)
            yield Till(cases, adapters, provider, bag, faults, pool, published.event_id)
        await inner.close()


async def is_settled_once(till: Till) -> None:
    """The purchase is as if nothing had happened: paid, with its two tickets, its two places held, no money back."""
    order = await till.order()
    left = await till.left()
    assert (order.state, await till.tickets()) == (OrderState.PAID, 2)
    assert (left.available, left.held + left.sold) == (CAPACITY - 2, 2)
    assert till.provider.balance(order.order_id) == order.total.amount_minor
    assert till.provider.refunds == {}


WHILE_SETTLING: Final[dict[str, tuple[Rule, int]]] = {
    "stale read": ({"kind": "stale", "operation": "read", "container": "orders"}, 0),
    "several stale reads": ({"kind": "stale", "operation": "read", "container": "orders", "times": 3}, 0),
    "449": ({"kind": "retry_with", "operation": "batch", "container": "orders"}, 0),
    "449 within the batch": ({"kind": "retry_with", "operation": "batch", "inside": True}, 0),
    "429 beyond the SDK's tries": ({"kind": "throttle", "container": "orders", "times": 2 * BEYOND_THE_SDK}, 0),
    "429 within the batch": ({"kind": "throttle", "operation": "batch", "inside": True, "times": 2}, 0),
    "503": ({"kind": "unavailable", "container": "orders"}, 0),
    "408 though written": ({"kind": "timeout", "operation": "batch", "performed": True}, 0),
    "cut though written": ({"kind": "reset", "operation": "batch", "performed": True}, 0),
    "cut": ({"kind": "reset", "operation": "batch"}, 0),
}


@pytest.mark.parametrize("name", WHILE_SETTLING)
async def test_a_paid_purchase_is_settled_once_whatever_happens_while_it_is_settled(till: Till, name: str) -> None:
    message = await till.paid_at_the_provider()
    rule, _ = WHILE_SETTLING[name]
    await till.fail(**rule)
    await till.deliver(message)

    assert await till.hits() >= 1
    await is_settled_once(till)
