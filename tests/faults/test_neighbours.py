"""Neighbours fail under a running Tessera: who asks is told plainly, and afterwards nothing is lost and nothing twice.

The payment provider is reached through a proxy that fails on demand; somebody holds the database of store or bus, so
that nobody can write. The mail server has `test_mail.py` and `test_smtp_neighbour.py`.
"""

import asyncio
import json
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from local.emulators.stripe.webhooks import sign
from local.layout import Ports
from local.stack import Stack
from shared.breaker import FAILURES_MAX, OPEN_SECONDS
from tests.faults.databases import read_documents, read_messages
from tests.faults.onsale import on_sale, reconciled
from tests.faults.shop import TIMEOUT_SECONDS, Person, Pool, Shop, webhook_secret
from tests.support.fault_proxy import Fault, FaultProxy, proxied

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("neighbours")]
SETTLED_SECONDS = 120.0  # normally well below ten


@dataclass
class Street:
    """A running Tessera, and the proxy before its payment provider."""

    stack: Stack
    stripe: FaultProxy
    http: httpx.AsyncClient

    async def shop(self, pools: list[Pool]) -> tuple[Shop, Person]:
        """An event of the test's own, and a buyer."""
        shop = await Shop.open(self.stack, self.http, pools)
        [buyer] = await shop.people(1, prefix=f"buyer-{uuid.uuid4().hex[:8]}")
        return shop, buyer


@asynccontextmanager
async def street_on(data: Path, *, deadline_seconds: int) -> AsyncIterator[Street]:
    async with proxied() as stripe:
        ports = Ports.free()  # once the proxy has its own
        stripe.target_port = ports.stripe
        settings = {
            "TESSERA_ORDER_DEADLINE_SECONDS": str(deadline_seconds),
            "STRIPE_API_BASE": f"http://127.0.0.1:{stripe.port}",
        }
        stack = Stack(data, ports, settings=settings)
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as http:
            try:
                await asyncio.to_thread(stack.start)
                yield Street(stack, stripe, http)
            finally:
                await asyncio.to_thread(stack.stop)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Street]:
    """A Tessera whose orders wait for a quarter of an hour."""
    async with street_on(tmp_path_factory.mktemp("street"), deadline_seconds=900) as running:
        yield running


def plain_refusal(answer: httpx.Response, name: str) -> None:
    """A problem that says what is away, when to come back, and what to quote."""
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:tessera:problem:{name}"
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["correlation_id"] == answer.headers["x-correlation-id"]


async def gauges(shop: Shop) -> dict[str, int]:
    answer = await shop.http.post(
        f"{shop.stack.entra_url}/_emulator/tokens", json={"email": "ada@tessera.example", "roles": ["admin"]}
    )
    headers = {"authorization": f"Bearer {answer.json()['access_token']}"}
    found: dict[str, int] = (await shop.http.get(f"{shop.api}/operations/counters", headers=headers)).json()["gauges"]
    return found


async def warnings(shop: Shop) -> list[str]:
    found: list[str] = (await shop.http.get(f"{shop.api}/health/ready")).json()["warnings"]
    return found


async def opened(shop: Shop, buyer: Person, order_id: str) -> str:
    """The checkout's page, as soon as it can be had again."""
    async with asyncio.timeout(SETTLED_SECONDS):
        while (answer := await shop.checkout(buyer, order_id)).status_code == 503:  # noqa: ASYNC110 - the proxy is another server
            await asyncio.sleep(0.3)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["checkout_url"])


async def of_order(shop: Shop, kind: str, order_id: str) -> list[dict[str, Any]]:
    """What Stripe has of an order."""
    found = (await shop.stripe("state"))[kind]
    return [each for each in found if each["metadata"].get("order_id") == order_id]


@pytest.mark.parametrize("fault", [Fault.DOWN, Fault.RESET, Fault.GARBAGE, Fault.WRONG])
async def test_a_checkout_while_the_provider_fails_is_refused_plainly_and_opened_once_later(
    street: Street, fault: Fault
) -> None:
    shop, buyer = await street.shop([Pool("floor", 10)])
    order = await shop.placed(buyer, {"floor": 2})
    await street.stripe.set(fault)
    plain_refusal(await shop.checkout(buyer, order["order_id"]), "payments-unavailable")
    assert (await shop.order(buyer, order["order_id"]))["state"] == "placed"

    await street.stripe.set(Fault.NONE)
    page = await opened(shop, buyer, order["order_id"])
    await shop.pay(page)
    await shop.until(buyer, order["order_id"], "paid")

    [session] = await of_order(shop, "sessions", order["order_id"])
    assert session["payment_status"] == "paid"


async def test_a_provider_that_keeps_failing_is_left_alone_until_it_is_back(street: Street) -> None:
    shop, buyer = await street.shop([Pool("floor", 10)])
    order = await shop.placed(buyer, {"floor": 2})
    await street.stripe.set(Fault.RESET)
    for _ in range(FAILURES_MAX):
        plain_refusal(await shop.checkout(buyer, order["order_id"]), "payments-unavailable")
    asked, began = street.stripe.connections, time.monotonic()
    for _ in range(10):
        plain_refusal(await shop.checkout(buyer, order["order_id"]), "payments-unavailable")
    trials = 1 + (time.monotonic() - began) // OPEN_SECONDS  # on a busy machine a call may try whether it is back

    assert street.stripe.connections <= asked + 2 * trials  # a call asks twice
    assert (await gauges(shop))["breaker.payments"] > 0
    assert [each for each in await warnings(shop) if each.startswith("Payments")] != []

    await street.stripe.set(Fault.NONE)
    await opened(shop, buyer, order["order_id"])
    assert (await gauges(shop))["breaker.payments"] == 0
    assert [each for each in await warnings(shop) if each.startswith("Payments")] == []
    assert len(await of_order(shop, "sessions", order["order_id"])) == 1


async def test_a_refund_made_though_its_answer_was_lost_is_made_once(street: Street) -> None:
    shop, buyer = await street.shop([Pool("floor", 10)])
    order, page = await shop.ready_to_pay(buyer, {"floor": 2})
    await shop.pay(page)
    paid = await shop.until(buyer, order["order_id"], "paid")
    await street.stripe.set(Fault.RESET)
    assert (await shop.refund(paid["order_id"])).status_code == 200
    async with asyncio.timeout(SETTLED_SECONDS):
        while not (unheard := (await shop.stripe("state"))["refunds"]):  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.05)
    assert (await shop.order(buyer, order["order_id"]))["state"] == "refunding"

    await street.stripe.set(Fault.NONE)
    await shop.until(buyer, order["order_id"], "refunded")

    refunds = (await shop.stripe("state"))["refunds"]
    assert [(each["id"], each["amount"]) for each in refunds] == [(unheard[0]["id"], 5000)]


async def test_a_webhook_that_comes_drop_by_drop_is_taken_and_keeps_nobody_waiting(street: Street) -> None:
    shop, buyer = await street.shop([Pool("floor", 10)])
    await shop.stripe("webhooks", {"drop": 1.0})
    order, page = await shop.ready_to_pay(buyer, {"floor": 2})
    await shop.pay(page)
    [session] = await of_order(shop, "sessions", order["order_id"])
    event = {"id": "evt_slow", "object": "event", "type": "checkout.session.completed", "data": {"object": session}}
    body = json.dumps(event).encode()
    signature = sign(body, secret=webhook_secret(shop.stack), at=int(time.time()))
    reader, writer = await asyncio.open_connection("127.0.0.1", street.stack.ports.host)
    head = (
        f"POST /api/payments/stripe HTTP/1.1\r\nhost: tessera\r\nstripe-signature: {signature}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    writer.write(head.encode())
    for begin in range(0, len(body), len(body) // 5 + 1):
        await asyncio.sleep(0.05)
        assert (await shop.order(buyer, order["order_id"]))["state"] == "placed"
        writer.write(body[begin : begin + len(body) // 5 + 1])
        await writer.drain()
    answer = await reader.read()
    writer.close()
    await shop.stripe("webhooks", {})

    assert answer.startswith(b"HTTP/1.1 204")
    await shop.until(buyer, order["order_id"], "paid")


@contextmanager
def held(database: Path) -> Iterator[None]:
    """Somebody keeps everybody else from writing to a database, as a backup tool or a shell might."""
    with closing(sqlite3.connect(database, timeout=10, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


async def test_orders_wait_out_a_store_that_is_held_and_exist_once(street: Street) -> None:
    shop, buyer = await street.shop([Pool("free", 10, price=0)])
    key = str(uuid.uuid4())
    with held(street.stack.data / "store.db"):
        both = [asyncio.create_task(shop.place(buyer, {"free": 2}, key=key)) for _ in range(2)]
        look = await shop.http.get(f"{shop.api}/events/{shop.event['event_id']}", headers=buyer.headers)
        await asyncio.sleep(1)
        early = [task.done() for task in both]
    answers = await asyncio.gather(*both)

    assert early == [False, False]
    assert look.status_code == 200  # reading goes on
    for answer in answers:
        if answer.status_code == 503:
            plain_refusal(answer, "contended")
    last = await shop.place(buyer, {"free": 2}, key=key)
    assert (last.status_code, last.json()["state"]) == (201, "paid")
    assert {answer.json()["order_id"] for answer in answers if answer.status_code == 201} <= {last.json()["order_id"]}
    async with asyncio.timeout(SETTLED_SECONDS):
        while left(shop) != (8, 0, 2):  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.05)


def left(shop: Shop) -> tuple[int, int, int]:
    """What the event's pool has available, held and sold."""
    [shard] = [
        value
        for (container, _, id_), value in read_documents(shop.stack.data).items()
        if container == "inventory" and id_ == "shard" and value["event_id"] == shop.event["event_id"]
    ]
    return shard["available"], shard["held"], shard["sold"]


async def test_while_the_bus_is_held_orders_are_sold_and_what_they_say_arrives_once_afterwards(street: Street) -> None:
    shop, buyer = await street.shop([Pool("floor", 10), Pool("free", 10, price=0)])
    order, page = await shop.ready_to_pay(buyer, {"floor": 2})
    with held(street.stack.data / "bus.db"):
        await shop.pay(page)
        free = await shop.placed(buyer, {"free": 1})
        await asyncio.sleep(1)
        assert free["state"] == "paid"  # the store answers, and the outbox keeps
        assert (await shop.order(buyer, order["order_id"]))["state"] == "placed"
        assert copies_of(shop, free["order_id"]) == []
    await shop.until(buyer, order["order_id"], "paid")
    async with asyncio.timeout(SETTLED_SECONDS):
        while {await mails(shop, each["order_id"]) for each in (free, order)} != {1}:  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.1)

    assert len(await of_order(shop, "payment_intents", order["order_id"])) == 1
    tickets = [id_ for _, partition, id_ in read_documents(street.stack.data) if partition == order["order_id"]]
    assert len([id_ for id_ in tickets if id_.startswith("ticket:")]) == 2


def copies_of(shop: Shop, order_id: str) -> list[str]:
    return [id_ for queue, _, id_, _ in read_messages(shop.stack.data) if queue == "stock" and order_id in id_]


async def mails(shop: Shop, order_id: str) -> int:
    found = await shop.mailbox(f"api/messages?message_id=%3Cconfirmation.{order_id}@tessera.example%3E")
    return len(found["messages"])


async def test_an_on_sale_amid_a_failing_provider_adds_up_once_it_is_back(tmp_path: Path) -> None:
    deadline = 2
    async with street_on(tmp_path, deadline_seconds=deadline) as street:
        shop, _ = await street.shop([Pool("floor", 400)])
        async with on_sale(shop, buyers=8, deadline_seconds=deadline, seed=11) as sale:
            for fault in (Fault.DOWN, Fault.RESET, Fault.GARBAGE, Fault.WRONG):
                await asyncio.sleep(0.5)
                await street.stripe.set(fault)
                await asyncio.sleep(0.6)
                await street.stripe.set(Fault.NONE)
        states = await reconciled(shop, sale, seconds=SETTLED_SECONDS)

    assert states["paid"] > 0
    assert states["expired"] > 0
    assert "payments-unavailable" in (tmp_path / "host.log").read_text()  # the outages were felt
