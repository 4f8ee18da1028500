"""Cosmos DB fails in the worst moment of a purchase: what was paid is never refused, and nothing happens twice.

The use cases run in the test over the real adapter and SDK; the emulator fails for one request of one kind at a time.
"""

import asyncio
import base64
import contextlib
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from functions.composition import Adapters, UseCases, use_cases
from functions.inventory.pools import Availability, Pool
from functions.notifications.outbound import CLAIM, Claim, MailState, OutboundMail
from functions.sales.bus import consumers
from functions.sales.orders import Order
from functions.sales.repository import ORDERS
from functions.sales.states import OrderState
from functions.sales.webhook import PAYMENTS_QUEUE
from local.emulators.cosmos.app import build
from local.emulators.cosmos.signatures import Gate, MasterKey
from local.emulators.serving import served
from shared.breaker import FAILURES_MAX, STATES, Breaker
from shared.bus.port import Message
from shared.events.sales import PaymentReported
from shared.kernel.errors import Contended
from shared.kernel.ids import EventId
from shared.store.cosmos import CosmosStore
from shared.store.cosmos_account import THROTTLED_TRIES, CosmosAccount
from shared.store.guarded import GuardedStore
from shared.store.port import Busy, Create, NotFound, StaleWrite, Unavailable
from shared.telemetry import gauges
from shared.topology import topology
from tests.doubles.host import queue_function
from tests.doubles.mailbag import Mailbag
from tests.doubles.provider import Provider
from tests.factories import catalog, sales
from tests.factories import settings as factory
from tests.property.backroom import STOCK, Backroom

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

    async def deliver(self, message: Message) -> Sequence[Message]:
        """The message to its function, and every copy of it that was put off; the copies."""
        cases = self.cases
        [settle, *_] = consumers(cases.settlement, cases.failed_payments, cases.refunding, self.bag)
        await queue_function(settle)(message)
        copies = self.bag.take(PAYMENTS_QUEUE)
        for copy in copies:
            await queue_function(settle)(copy)
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


@pytest.fixture
async def till(tmp_path: Path) -> AsyncIterator[Till]:
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    app = build(tmp_path / "cosmos.sqlite", Gate(MasterKey(key)), topology=topology())
    async with served(app) as endpoint, httpx.AsyncClient(base_url=endpoint) as faults:
        inner = CosmosStore(CosmosAccount(endpoint, key, topology().database), topology(), b"a secret")
        provider, bag = Provider(clock=lambda: catalog.NOW), Mailbag()
        with factory.adapters(tmp_path, store=GuardedStore(inner), bus=bag, payments=provider) as adapters:
            cases = use_cases(factory.settings(tmp_path), adapters)
            published = await catalog.on_sale(cases, catalog.event(pools={"floor": CAPACITY}))
            [pool] = catalog.pools_of(published)
            yield Till(cases, adapters, provider, bag, faults, inner, pool, published.event_id)
        await inner.close()


async def is_settled_once(till: Till) -> None:
    """The purchase is as if nothing had happened: paid, with its two tickets, its two places held, no money back."""
    order = await till.order()
    left = await till.left()
    assert (order.state, await till.tickets()) == (OrderState.PAID, 2)
    assert (left.available, left.held + left.sold) == (CAPACITY - 2, 2)
    assert till.provider.balance(order.order_id) == order.total.amount_minor
    assert till.provider.refunds == {}


ORDERS_READ: Final = {"operation": "read", "container": "orders"}
ORDERS_WRITTEN: Final = {"operation": "batch", "container": "orders"}
HOLDS_WRITTEN: Final = {"operation": "batch", "container": "inventory"}
FAILURES: Final[dict[str, Rule]] = {
    "a stale read": {**ORDERS_READ, "kind": "stale"},
    "stale reads": {**ORDERS_READ, "kind": "stale", "times": 3},
    "449": {**ORDERS_WRITTEN, "kind": "retry_with"},
    "449 within the batch": {**ORDERS_WRITTEN, "kind": "retry_with", "inside": True},
    "429 to a read, beyond the SDK's tries": {**ORDERS_READ, "kind": "throttle", "times": BEYOND_THE_SDK},
    "429 to a write, beyond the SDK's tries": {**ORDERS_WRITTEN, "kind": "throttle", "times": BEYOND_THE_SDK},
    "429 within the batch": {**ORDERS_WRITTEN, "kind": "throttle", "inside": True, "times": 2},
    "503": {"container": "orders", "kind": "unavailable"},
    "408 though written": {**ORDERS_WRITTEN, "kind": "timeout", "performed": True},
    "cut though written": {**ORDERS_WRITTEN, "kind": "reset", "performed": True},
    "cut": {**ORDERS_WRITTEN, "kind": "reset"},
}


@pytest.mark.parametrize("name", FAILURES)
async def test_what_was_paid_is_settled_once_whatever_the_store_does_meanwhile(till: Till, name: str) -> None:
    message = await till.paid_at_the_provider()
    await till.fail(**FAILURES[name])

    assert await till.deliver(message) == []  # within its first delivery
    assert await till.hits() > 0
    await is_settled_once(till)
    assert await till.deliver(message) == []  # and once more
    await is_settled_once(till)


async def test_a_payment_whose_order_is_read_as_still_being_placed_is_settled_a_little_later(till: Till) -> None:
    order = await till.place()
    await till.fail(**ORDERS_READ, kind="stale")  # the version before the last: `placing`
    message = reported(order, payment_id="pi_1", session_id="cs_1")

    [copy] = await till.deliver(message)
    assert copy.due_at is not None
    assert (await till.hits(), (await till.order()).state, await till.tickets()) == (1, OrderState.PAID, 2)


WHILE_PLACING: Final[dict[str, list[Rule]]] = {
    "the hold's 408 though written": [{**HOLDS_WRITTEN, "kind": "timeout", "performed": True}],
    "the hold's answer cut though written": [{**HOLDS_WRITTEN, "kind": "reset", "performed": True}],
    "the hold's answer cut, and 404 right after": [
        {**HOLDS_WRITTEN, "kind": "reset", "performed": True},
        {"kind": "stale", "operation": "read", "container": "inventory"},
    ],
    "449 to the hold": [{**HOLDS_WRITTEN, "kind": "retry_with"}],
    "429 to the hold": [{**HOLDS_WRITTEN, "kind": "throttle", "times": BEYOND_THE_SDK}],
    "the order's answer cut, and 404 right after its create": [
        {**ORDERS_WRITTEN, "kind": "reset", "performed": True},
        {**ORDERS_READ, "kind": "stale"},
    ],
    "both answers to the order cut": [{**ORDERS_WRITTEN, "kind": "reset", "performed": True, "times": 2}],
}


@pytest.mark.parametrize("name", WHILE_PLACING)
async def test_an_order_is_placed_and_its_places_held_once_whatever_the_store_does_meanwhile(
    till: Till, name: str
) -> None:
    for rule in WHILE_PLACING[name]:
        await till.fail(**rule)
    order = await till.place()

    assert await till.hits() >= len(WHILE_PLACING[name])
    assert (order.state, (await till.order()).state) == (OrderState.PLACED, OrderState.PLACED)
    await till.empty_the_outbox()
    assert await till.left() == Availability(available=CAPACITY - 2, held=2, sold=0, capacity=CAPACITY)


async def test_a_write_whose_connection_broke_is_not_sent_again_behind_our_back(till: Till) -> None:
    await till.fail(**ORDERS_WRITTEN, kind="reset", performed=True)
    with pytest.raises(Unavailable):
        await till.inner.commit(ORDERS, "ord_1", [Create("order", {"kind": "order"})])

    assert (await till.inner.read(ORDERS, "ord_1", "order")).value["kind"] == "order"


async def test_a_mail_whose_claim_and_ending_went_unheard_is_sent_once_and_not_counted_as_doubled(till: Till) -> None:
    outbound = OutboundMail(till.adapters.store)
    unheard = {"operation": "batch", "container": "mail", "kind": "reset", "performed": True}
    await till.fail(**unheard)
    claim = await outbound.claim("confirmation.ord_1", catalog.organiser_id(), catalog.NOW)
    assert isinstance(claim, Claim)
    assert (claim.copies, claim.maybe_sent) == (1, False)
    await till.fail(**unheard)
    await outbound.finish(claim, MailState.SENT, catalog.NOW)

    assert await till.hits() == 2
    assert await outbound.claim("confirmation.ord_1", catalog.organiser_id(), catalog.NOW) is MailState.SENT


async def test_who_finishes_a_mail_that_another_claimed_since_is_refused(till: Till) -> None:
    outbound = OutboundMail(till.adapters.store)
    first = await outbound.claim("confirmation.ord_1", catalog.organiser_id(), catalog.NOW)
    second = await outbound.claim("confirmation.ord_1", catalog.organiser_id(), catalog.NOW + 2 * CLAIM)
    assert isinstance(first, Claim)
    assert isinstance(second, Claim)

    assert (second.copies, second.maybe_sent) == (2, True)
    with pytest.raises(StaleWrite):
        await outbound.finish(first, MailState.SENT, catalog.NOW)


async def test_the_pause_that_a_throttled_store_asks_for_is_the_refusals(till: Till) -> None:
    await till.fail(**HOLDS_WRITTEN, kind="throttle", retry_after_ms=20_400)
    with pytest.raises(Contended) as refused:
        await till.place()

    assert refused.value.retry_after_seconds == 20.4
    assert await till.left() == Availability(available=CAPACITY, held=0, sold=0, capacity=CAPACITY)


async def test_a_store_that_is_silent_is_not_asked_for_a_while_and_then_again(till: Till) -> None:
    store = GuardedStore(till.inner, Breaker("store", failure=Unavailable, open_seconds=0.5))
    await till.fail(**ORDERS_READ, kind="reset", times=1_000)
    for _ in range(FAILURES_MAX):
        with pytest.raises(Unavailable):
            await store.read(ORDERS, "ord_1", "order")
    asked = await till.hits()
    for _ in range(10):
        with pytest.raises(Unavailable, match="was not asked"):
            await store.read(ORDERS, "ord_1", "order")
    assert (await till.hits(), gauges()["breaker.store"]) == (asked, STATES["opened"])

    await till.faults.delete("/_emulator/faults")
    async with asyncio.timeout(5):
        while gauges()["breaker.store"] != STATES["closed"]:
            with contextlib.suppress(Unavailable, NotFound):  # no such order is an answer
                await store.read(ORDERS, "ord_1", "order")
            await asyncio.sleep(0.05)
    with pytest.raises(NotFound):
        await store.read(ORDERS, "ord_1", "order")


async def test_a_throttled_store_is_asked_again_however_often_it_throttles(till: Till) -> None:
    store = GuardedStore(till.inner, Breaker("store", failure=Unavailable))
    await till.fail(**ORDERS_READ, kind="throttle", times=1_000, retry_after_ms=3_000)  # longer than the SDK waits
    for _ in range(2 * FAILURES_MAX):
        with pytest.raises(Busy):
            await store.read(ORDERS, "ord_1", "order")

    assert (await till.hits(), gauges()["breaker.store"]) == (2 * FAILURES_MAX, STATES["closed"])


@pytest.mark.parametrize(
    ("level", "regions", "said"),
    [
        ("Session", 1, "Session consistency and 1 write regions"),
        ("Strong", 2, "Strong consistency and 2 write regions"),
    ],
)
async def test_an_account_on_which_no_guard_holds_is_refused_by_name(level: str, regions: int, said: str) -> None:
    async def account(request: Request) -> JSONResponse:
        here = str(request.base_url)
        places = [{"name": f"Region {n}", "databaseAccountEndpoint": here} for n in range(regions)]
        return JSONResponse(
            {
                "id": "weak",
                "writableLocations": places,
                "readableLocations": places,
                "enableMultipleWriteLocations": regions > 1,
                "userConsistencyPolicy": {"defaultConsistencyLevel": level},
            }
        )

    async with served(Starlette(routes=[Route("/", account)])) as endpoint:
        key = base64.b64encode(secrets.token_bytes(64)).decode()
        store = CosmosStore(CosmosAccount(endpoint, key, topology().database), topology(), b"a secret")
        with pytest.raises(Unavailable, match=f"{said}. Tessera needs Strong and one"):
            await store.read(ORDERS, "ord_1", "order")
        await store.close()
