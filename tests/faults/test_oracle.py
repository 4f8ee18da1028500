"""The oracle's own test: books of a real on-sale agree, and each corruption is found by the rule it is for."""

import asyncio
import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.faults.books import Answers, Books, read_books
from tests.faults.databases import Record
from tests.faults.onsale import on_sale, settled
from tests.faults.oracle import RULES, contradictions
from tests.faults.shop import Person, Pool, Shop, opened

pytestmark = pytest.mark.xdist_group("oracle")  # one sale for all

DEADLINE_SECONDS = 2
SALE_SECONDS = 3.0
PAYING_TRIES_MAX = 10

type Corruption = Callable[[Books], object]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Books:
    """The books after a few seconds of an on-sale nobody disturbed."""

    async def sell() -> Books:
        pools = [Pool("floor", 1_000, demand=1000), Pool("balcony", 30, price=6800)]
        async with opened(tmp_path_factory.mktemp("sale"), pools, deadline_seconds=DEADLINE_SECONDS) as shop:
            async with on_sale(shop, buyers=8, deadline_seconds=DEADLINE_SECONDS, seed=7, pause_seconds=0.02) as sale:
                await asyncio.sleep(SALE_SECONDS)
            await _one_of_each(shop, sale.answers)
            await settled(shop, seconds=120)
            return await read_books(shop, sale.answers)

    return asyncio.run(sell())


async def _one_of_each(shop: Shop, answers: Answers) -> None:
    """Orders of every ending, of people with an address: a sale among few on a slow machine need not have them all."""
    paying, refunded, leaving, cancelling = await shop.people(4, prefix="one-of-each")
    for each in (leaving, cancelling, shop.operator):
        answers.keys[each.email] += 1
    for buyer in (paying, refunded):
        order_id = await _paid(shop, buyer, answers)
        if buyer is refunded:
            assert (await shop.refund(order_id)).is_success
            answers.refund_promised.add(order_id)
    await shop.placed(leaving, {"floor": 1})
    order = await shop.placed(cancelling, {"floor": 1})
    assert (await shop.cancel(cancelling, order["order_id"])).is_success
    answers.cancelled.add(order["order_id"])
    answers.seen_paid.add((await shop.placed(shop.operator, {"floor": 1}, method="desk"))["order_id"])


async def _paid(shop: Shop, buyer: Person, answers: Answers) -> str:
    """An order that was paid before its deadline, which is short; its id."""
    for _ in range(PAYING_TRIES_MAX):
        answers.keys[buyer.email] += 1
        order, page = await shop.ready_to_pay(buyer, {"floor": 1})
        if (await shop.pay(page)).status_code == httpx.codes.SEE_OTHER:
            await shop.until(buyer, order["order_id"], "paid")
            answers.paid_pages.add(order["order_id"])
            return str(order["order_id"])
    raise AssertionError("nobody can pay in time")


@pytest.fixture
def books(good: Books) -> Books:
    return copy.deepcopy(good)


def test_the_books_of_an_undisturbed_sale_agree_and_every_kind_of_record_is_there(books: Books) -> None:
    states = {order["state"] for order in books.orders.values()}

    assert contradictions(books) == []
    assert {"paid", "expired", "cancelled", "refunded"} <= states
    assert books.mails
    assert books.refunds
    assert {container for container, _, _ in books.documents} >= {"inventory", "orders", "wallets", "mail", "insights"}


def document(books: Books, container: str, kind: str, **wanted: Any) -> Record:
    """The first live document of a kind with these properties."""
    return next(
        value
        for (found, _, _), value in books.documents.items()
        if found == container and value.get("kind") == kind and wanted.items() <= value.items()
    )


def remove(books: Books, container: str, kind: str, **wanted: Any) -> None:
    lost = document(books, container, kind, **wanted)
    books.documents = {key: value for key, value in books.documents.items() if value is not lost}


def order(books: Books, state: str, method: str = "card") -> Record:
    return document(books, "orders", "order", state=state, method=method)


def owed_confirmation(books: Books) -> Record:
    """The record of a mail that its buyer must have: an order paid since refunded may have been overtaken."""
    sent = {mail["message_id"] for mail in books.of_kind("mail", "mail")}
    names = (f"confirmation.{order['order_id']}" for order in books.orders.values() if order["state"] == "paid")
    return document(books, "mail", "mail", message_id=next(name for name in names if name in sent))


def mail_of(books: Books, state: str, kind: str) -> str:
    """The Message-ID of the mail of a kind to the first buyer with an address whose order is in `state`."""
    told = [o for o in books.orders.values() if o["state"] == state and o["buyer"]["email"]]
    return f"<{kind}.{told[0]['order_id']}@tessera.example>"


def bump(record: Record, **by: int) -> None:
    for name, number in by.items():
        record[name] += number


def repeat(books: Books, container: str, kind: str) -> None:
    key, value = next((k, v) for k, v in books.documents.items() if k[0] == container and v.get("kind") == kind)
    books.documents[container, key[1], f"{key[2]} again"] = copy.deepcopy(value)


def unpaid(books: Books) -> None:
    """Stripe forgets the payment of a paid order."""
    lost = order(books, "paid")["payment"]["payment_id"]
    books.intents = [intent for intent in books.intents if intent["id"] != lost]


def without_the_page(books: Books) -> None:
    """An order that was paid on the page ends otherwise."""
    books.documents = {
        key: {**value, "state": "expired"} if value.get("order_id") in books.answers.paid_pages
        and value.get("kind") == "order" else value
        for key, value in books.documents.items()
    }  # fmt: skip


def stray_intent(books: Books, order_id: str) -> None:
    books.intents.append(
        {"id": "pi_stray", "status": "succeeded", "amount_received": 2500, "currency": "eur",
         "metadata": {"order_id": order_id}}
    )  # fmt: skip


CORRUPTIONS: dict[str, list[tuple[str, Corruption]]] = {
    "shards_add_up": [
        ("one more sold", lambda b: bump(document(b, "inventory", "shard"), sold=1)),
        ("below zero", lambda b: bump(document(b, "inventory", "shard"), available=-500, held=500)),
    ],
    "pools_keep_their_capacity": [
        ("a place more", lambda b: bump(document(b, "inventory", "shard"), capacity=1, available=1)),
    ],
    "sold_is_what_paid_orders_bought": [
        ("sold without order", lambda b: bump(document(b, "inventory", "shard"), available=-1, sold=1)),
        ("a sold order lost", lambda b: remove(b, "orders", "order", state="paid")),
    ],
    "holds_account_for_the_counters": [
        ("a sold hold lost", lambda b: remove(b, "inventory", "hold", state="sold")),
    ],
    "nothing_is_held_any_more": [
        ("a hold left", lambda b: document(b, "inventory", "hold", state="freed").update(state="held")),
    ],
    "every_order_ended": [
        ("placed for ever", lambda b: order(b, "expired").update(state="placed")),
        ("refunding for ever", lambda b: order(b, "refunded").update(state="refunding")),
    ],
    "paid_orders_have_their_tickets": [
        ("a ticket lost", lambda b: remove(b, "orders", "ticket", state="valid")),
        ("a ticket twice", lambda b: repeat(b, "orders", "ticket")),
    ],
    "good_tickets_belong_to_paid_orders": [
        ("paid goes expired", lambda b: order(b, "paid").update(state="expired")),
        ("a void one is good", lambda b: document(b, "orders", "ticket", state="void").update(state="valid")),
        ("a number twice", lambda b: repeat(b, "orders", "ticket")),
    ],
    "wallets_show_the_tickets": [
        ("a wallet lost one", lambda b: remove(b, "wallets", "ticket")),
        ("a void one looks good", lambda b: document(b, "wallets", "ticket", state="void").update(state="valid")),
    ],
    "card_orders_have_one_payment": [
        ("no payment", unpaid),
        ("a second payment", lambda b: stray_intent(b, order(b, "paid")["order_id"])),
        ("another amount", lambda b: order(b, "paid")["total"].update(amount_minor=1)),
        (
            "it went back",
            lambda b: b.refunds.append(
                {"id": "re", "payment_intent": order(b, "paid")["payment"]["payment_id"], "amount": 1}
            ),
        ),
    ],
    "every_payment_is_accounted_for": [
        ("a payment without order", lambda b: stray_intent(b, "")),
        ("a payment for an expired order", lambda b: stray_intent(b, order(b, "expired")["order_id"])),
        ("the refund never came", lambda b: b.refunds.clear()),
    ],
    "refunds_are_the_orders_own": [
        ("refunded twice", lambda b: b.refunds.append({**b.refunds[0], "id": "re_again"})),
        ("never at Stripe", lambda b: b.refunds.clear()),
    ],
    "nobody_can_pay_for_an_order_that_ended": [
        ("a page left open", lambda b: b.sessions[0].update(status="open")),
    ],
    "clients_find_what_they_were_told": [
        ("an answered order is gone", lambda b: remove(b, "orders", "order", state="expired")),
        ("seen paid, then expired", lambda b: order(b, "paid", "desk").update(state="expired")),
        ("paid on the page, then expired", without_the_page),
        ("a cancelled one is back", lambda b: order(b, "cancelled").update(state="expired")),
        ("the refund was forgotten", lambda b: order(b, "refunded").update(state="paid")),
        ("another price", lambda b: order(b, "paid")["total"].update(amount_minor=1)),
    ],
    "one_key_is_one_order": [
        ("a key gave two", lambda b: b.answers.orders_of_keys.update(key={"ord_1", "ord_2"})),
        ("orders nobody asked for", lambda b: setattr(b.answers, "keys", Counter(x=1))),
    ],
    "clients_were_answered_properly": [
        ("a 500", lambda b: b.answers.errors.append("/api/orders: 500")),
    ],
    "the_host_had_no_errors": [
        ("a function failed", lambda b: b.errors.append("Function resend_outbox failed")),
    ],
    "buyers_were_told_what_happened": [
        ("no confirmation", lambda b: b.mails.pop(mail_of(b, "paid", "confirmation"))),
        ("not told of the end", lambda b: b.mails.pop(mail_of(b, "expired", "expired"))),
        ("not told of the refund", lambda b: b.mails.pop(mail_of(b, "refunded", "refunded"))),
        ("told of an end that never was", lambda b: b.mails.update([mail_of(b, "paid", "expired")])),
        ("an uncounted copy", lambda b: b.mails.update([next(iter(b.mails))])),
        ("a mail for nobody", lambda b: b.mails.update(["<confirmation.ord_x@tessera.example>"])),
        ("sent, not written down", lambda b: owed_confirmation(b).update(state="sending")),
    ],
    "insights_count_each_purchase_once": [
        ("not counted", lambda b: remove(b, "insights", "insight", name="OrderPaid")),
        (
            "counted twice",
            lambda b: b.documents.update(
                {("insights", "x", "again"): copy.deepcopy(document(b, "insights", "insight", name="OrderPaid"))}
            ),
        ),
        (
            "counted wrong",
            lambda b: document(b, "insights", "insight", name="OrderPaid")["payload"].update(quantity=99),
        ),
    ],
    "nothing_is_left_to_tell": [
        ("an unsent event", lambda b: b.documents.update({("orders", "o", "outbox:e"): {"kind": "outbox"}})),
        ("a parked event", lambda b: b.documents.update({("orders", "o", "parked:e"): {"kind": "parked"}})),
    ],
    "no_message_is_left": [
        ("a dead letter", lambda b: b.messages.append(("stock", 3, "m", "MaxDeliveryCountExceeded"))),
        ("one under way", lambda b: b.messages.append(("stock", 1, "m", ""))),
    ],
}


def test_every_rule_has_a_corruption() -> None:
    assert list(CORRUPTIONS) == [rule.__name__ for rule in RULES]


@pytest.mark.parametrize(
    ("rule", "corrupt"),
    [
        pytest.param(rule, corrupt, id=f"{rule}: {what}")
        for rule, corruptions in CORRUPTIONS.items()
        for what, corrupt in corruptions
    ],
)
def test_each_corruption_is_found_by_the_rule_it_is_for(books: Books, rule: str, corrupt: Corruption) -> None:
    corrupt(books)

    assert [found for found in contradictions(books) if found.startswith(f"{rule}:")]
