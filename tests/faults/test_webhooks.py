"""The payment provider's webhooks misbehave towards a running host; every order ends as its payment says."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from local.emulators.stripe.webhooks import sign
from local.layout import stack_secrets
from local.stack import Stack
from shared.kernel.clock import utc_now
from shared.kernel.ids import derived_id
from tests.faults.databases import read_documents, read_messages
from tests.faults.shop import (
    DECLINED_CARD,
    PATIENCE_SECONDS,
    TIMEOUT_SECONDS,
    Person,
    Pool,
    Shop,
    stack_at,
    webhook_secret,
)

pytestmark = pytest.mark.xdist_group("webhooks")  # two stacks for all

HASTY_SECONDS = 3
HASTY_TRIES_MAX = 10  # of paying within them, which a busy machine may be too slow for
TOLERANCE_SECONDS = 300


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A Tessera whose orders wait for a quarter of an hour."""
    with stack_at(tmp_path_factory.mktemp("patient")) as stack:
        yield stack


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A Tessera whose orders wait for three seconds."""
    with stack_at(tmp_path_factory.mktemp("hasty"), deadline_seconds=HASTY_SECONDS) as stack:
        yield stack


@asynccontextmanager
async def shop_on(stack: Stack, **behaviour: object) -> AsyncIterator[tuple[Shop, Person]]:
    """An event of its own and a buyer, with webhooks that behave like this."""
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as http:
        shop = await Shop.open(stack, http, [Pool("floor", 10)])
        await shop.stripe("webhooks", behaviour)
        [buyer] = await shop.people(1, prefix=f"buyer-{uuid.uuid4().hex[:8]}")
        yield shop, buyer


async def session_of(shop: Shop, order_id: str) -> dict[str, Any]:
    """The order's session as Stripe has it."""
    sessions = (await shop.stripe("state"))["sessions"]
    found: dict[str, Any] = next(s for s in sessions if s["metadata"].get("order_id") == order_id)
    return found


async def tell(
    shop: Shop, session: dict[str, Any], *, secret: str = "", age_seconds: int = 0, tampered: bool = False
) -> httpx.Response:
    """Send `checkout.session.completed` as Stripe would, or nearly."""
    event = {"id": "evt_test", "object": "event", "type": "checkout.session.completed", "data": {"object": session}}
    body = json.dumps(event).encode()
    signature = sign(body, secret=secret or webhook_secret(shop.stack), at=int(time.time()) - age_seconds)
    sent = body.replace(b'"paid"', b'"paid" ') if tampered else body
    headers = {"stripe-signature": signature, "content-type": "application/json"}
    return await shop.http.post(f"{shop.api}/payments/stripe", content=sent, headers=headers)


async def paid_elsewhere(shop: Shop, order_id: str, quantity: int = 1) -> str:
    """Pay for an order through a session we did not open, so that nothing of ours can close it; the payment's id."""
    key = stack_secrets(shop.stack.data)["stripe_api_key"]
    organiser_id = shop.event["organiser_id"]
    form = {
        "mode": "payment",
        "payment_method_types[0]": "card",
        "line_items[0][quantity]": str(quantity),
        "line_items[0][price_data][currency]": "eur",
        "line_items[0][price_data][unit_amount]": "2500",
        "line_items[0][price_data][product_data][name]": "floor",
        "metadata[order_id]": order_id,
        "metadata[organiser_id]": organiser_id,
        "payment_intent_data[metadata][order_id]": order_id,
        "expires_at": str(int(utc_now().timestamp()) + 3_600),
        "success_url": "http://127.0.0.1/paid",
    }
    headers = {"authorization": f"Bearer {key}"}
    made = await shop.http.post(f"{shop.stack.stripe_url}/v1/checkout/sessions", data=form, headers=headers)
    paid = await shop.stripe(f"sessions/{made.raise_for_status().json()['id']}/pay", {})
    return str(paid["payment_intent"])


def tickets_of(shop: Shop, order_id: str) -> list[str]:
    return [
        value["state"]
        for (container, partition, id_), value in read_documents(shop.stack.data).items()
        if (container, partition) == ("orders", order_id) and id_.startswith("ticket:")
    ]


def dead_letters(shop: Shop) -> list[str]:
    return [id_ for _, state, id_, _ in read_messages(shop.stack.data) if state == 3]


async def until_available(shop: Shop, buyer: Person, places: int) -> None:
    """Return once so many places are left: stock follows its order's end."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            event = await shop.http.get(f"{shop.api}/events/{shop.event['event_id']}", headers=buyer.headers)
            if event.json()["available"] == places:
                return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"secret": "whsec_of_somebody_else"}, 400),
        ({"tampered": True}, 400),
        ({"age_seconds": TOLERANCE_SECONDS + 5}, 400),
        ({"age_seconds": TOLERANCE_SECONDS - 30}, 204),  # the control: the same body, old but not too old
    ],
)
async def test_only_what_stripe_signed_lately_is_believed(patient: Stack, fault: dict[str, Any], status: int) -> None:
    async with shop_on(patient, drop=1.0) as (shop, buyer):
        order, page = await shop.ready_to_pay(buyer, {"floor": 2})
        await shop.pay(page)
        answer = await tell(shop, await session_of(shop, order["order_id"]), **fault)

        if status == 204:
            await shop.until(buyer, order["order_id"], "paid")
        else:
            await asyncio.sleep(0.3)
            assert (await shop.order(buyer, order["order_id"]))["state"] == "placed"
            assert answer.headers["content-type"].startswith("application/problem+json")
            assert answer.json()["field"] == "Stripe-Signature"
        assert answer.status_code == status


async def test_a_payment_told_six_times_is_one_payment(patient: Stack) -> None:
    async with shop_on(patient, duplicates=5) as (shop, buyer):
        order, page = await shop.ready_to_pay(buyer, {"floor": 3})
        await shop.pay(page)
        await shop.until(buyer, order["order_id"], "paid")
        # Beyond the bus's duplicate detection as well: the same report under another id, as after its window.
        session = await session_of(shop, order["order_id"])
        for _ in range(3):
            assert (await tell(shop, session)).status_code == httpx.codes.NO_CONTENT
        await asyncio.sleep(0.5)

        assert tickets_of(shop, order["order_id"]) == ["valid"] * 3
        assert (await shop.order(buyer, order["order_id"]))["state"] == "paid"
        assert not [id_ for id_ in dead_letters(shop) if order["order_id"] in id_]


async def test_a_decline_told_after_the_payment_that_followed_it_changes_nothing(patient: Stack) -> None:
    async with shop_on(patient, hold=True) as (shop, buyer):
        order, page = await shop.ready_to_pay(buyer, {"floor": 1})
        assert (await shop.pay(page, DECLINED_CARD)).status_code == 402
        assert (await shop.pay(page)).status_code == 303
        await shop.stripe("webhooks/release", {"order": "reverse"})
        await shop.until(buyer, order["order_id"], "paid")
        await asyncio.sleep(0.3)

        assert (await shop.order(buyer, order["order_id"]))["state"] == "paid"
        assert tickets_of(shop, order["order_id"]) == ["valid"]


async def test_a_payment_for_an_order_nobody_knows_waits_and_blocks_nobody(patient: Stack) -> None:
    async with shop_on(patient) as (shop, buyer):
        stranger = derived_id("ord", "nobody", uuid.uuid4().hex)
        await paid_elsewhere(shop, stranger)
        order, page = await shop.ready_to_pay(buyer, {"floor": 1})
        await shop.pay(page)
        await shop.until(buyer, order["order_id"], "paid")
        async with asyncio.timeout(PATIENCE_SECONDS):  # it is looked at again now and then, and waits again
            while [state for state, _ in reports_of(shop, stranger)] != [2]:  # noqa: ASYNC110 - the host does it
                await asyncio.sleep(0.05)
        [(_, report)] = reports_of(shop, stranger)

        assert ":payments:" in report
        assert tickets_of(shop, stranger) == []


def reports_of(shop: Shop, order_id: str) -> list[tuple[int, str]]:
    """State and id of each message about an order that nobody has placed."""
    return [(state, id_) for _, state, id_, _ in read_messages(shop.stack.data) if order_id in id_]


async def test_a_payment_told_before_its_order_exists_pays_it_as_soon_as_it_does(patient: Stack) -> None:
    async with shop_on(patient) as (shop, buyer):
        key = uuid.uuid4().hex
        me = await shop.http.get(f"{shop.api}/me", headers=buyer.headers)
        order_id = derived_id("ord", me.json()["person_id"], key)
        payment_id = await paid_elsewhere(shop, order_id, quantity=2)
        await asyncio.sleep(0.5)  # the report finds no order and is postponed
        placed = await shop.place(buyer, {"floor": 2}, key=key)

        await shop.until(buyer, order_id, "paid")
        stored = read_documents(patient.data)["orders", order_id, "order"]

    assert placed.json()["order_id"] == order_id
    assert stored["payment"]["payment_id"] == payment_id
    assert tickets_of(shop, order_id) == ["valid", "valid"]


async def test_a_payment_never_told_is_found_when_the_order_would_expire(hasty: Stack) -> None:
    async with shop_on(hasty, drop=1.0) as (shop, buyer):
        before = (await shop.stripe("webhooks"))["deliveries"]
        order, page = await shop.ready_to_pay(buyer, {"floor": 2})
        for _ in range(HASTY_TRIES_MAX):
            if (await shop.pay(page)).status_code == httpx.codes.SEE_OTHER:
                break
            await until_available(shop, buyer, 10)  # too late, and the order has ended
            order, page = await shop.ready_to_pay(buyer, {"floor": 2})
        await shop.until(buyer, order["order_id"], "paid")
        told = (await shop.stripe("webhooks"))["deliveries"]

        assert (told["delivered"], told["pending"]) == (before["delivered"], 0)
        assert told["dropped"] > before["dropped"]
        assert tickets_of(shop, order["order_id"]) == ["valid", "valid"]
        assert (await session_of(shop, order["order_id"]))["payment_status"] == "paid"


@pytest.mark.parametrize(("ending", "waits"), [("expired", "hasty"), ("cancelled", "patient")])
async def test_a_payment_for_an_order_that_ended_goes_back(
    ending: str, waits: str, request: pytest.FixtureRequest
) -> None:
    async with shop_on(request.getfixturevalue(waits)) as (shop, buyer):
        order = await shop.placed(buyer, {"floor": 2})
        if ending == "cancelled":
            await shop.cancel(buyer, order["order_id"])
        await shop.until(buyer, order["order_id"], ending)
        payment_id = await paid_elsewhere(shop, order["order_id"], quantity=2)
        await shop.until(buyer, order["order_id"], "refunded")
        await until_available(shop, buyer, 10)
        refunds = [r for r in (await shop.stripe("state"))["refunds"] if r["payment_intent"] == payment_id]

        assert [(r["amount"], r["status"]) for r in refunds] == [(5000, "succeeded")]
        assert tickets_of(shop, order["order_id"]) == []


async def test_the_page_of_an_expired_order_takes_no_money(hasty: Stack) -> None:
    async with shop_on(hasty) as (shop, buyer):
        order, page = await shop.ready_to_pay(buyer, {"floor": 2})
        await shop.until(buyer, order["order_id"], "expired")
        answer = await shop.pay(page)
        await until_available(shop, buyer, 10)

        assert answer.status_code == 410
        assert (await session_of(shop, order["order_id"]))["status"] == "expired"
