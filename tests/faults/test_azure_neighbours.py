"""Cosmos DB fails in the worst moment of a purchase: what was paid is never refused, and nothing happens twice.

The use cases run in the test over the real adapter and SDK; the emulator fails for one request of one kind at a time.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from functions.inventory.pools import Availability
from functions.notifications.outbound import CLAIM, Claim, MailState, OutboundMail
from functions.notifications.telling import OrderBehind, Told
from functions.sales.bus import REFUNDS
from functions.sales.repository import ORDERS
from functions.sales.states import OrderState
from functions.sales.telling import order_refunding
from shared.bus.port import Message
from shared.events.sales import OrderPaid
from shared.store.port import Create, StaleWrite, Unavailable
from tests.doubles.mailbox import Mailbox
from tests.factories import catalog, sales
from tests.faults.till import (
    BEYOND_THE_SDK,
    CAPACITY,
    HOLDS_WRITTEN,
    ORDERS_READ,
    ORDERS_WRITTEN,
    Rule,
    Till,
    opened,
    reported,
)


@pytest.fixture
async def till(tmp_path: Path) -> AsyncIterator[Till]:
    async with opened(tmp_path) as found:
        yield found


async def is_settled_once(till: Till) -> None:
    """The purchase is as if nothing had happened: paid, with its two tickets, its two places held, no money back."""
    order = await till.order()
    left = await till.left()
    assert (order.state, await till.tickets()) == (OrderState.PAID, 2)
    assert (left.available, left.held + left.sold) == (CAPACITY - 2, 2)
    assert till.provider.balance(order.order_id) == order.total.amount_minor
    assert till.provider.refunds == {}


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


async def test_a_refund_whose_order_is_read_as_still_paid_is_made_a_little_later_and_once(till: Till) -> None:
    await till.deliver(await till.paid_at_the_provider())
    refunding = await till.cases.settlement.refund(sales.order_id(), caller=catalog.owner(), now=catalog.NOW)
    told = order_refunding(refunding, catalog.NOW)
    await till.fail(**ORDERS_READ, kind="stale")  # the version before the last: `paid`

    assert (
        len(await till.deliver(Message("m-1", told.type_name(), told.model_dump_json().encode()), queue=REFUNDS)) == 1
    )
    assert (await till.hits(), (await till.order()).state) == (1, OrderState.REFUNDED)
    assert (till.provider.balance(refunding.order_id), len(till.provider.refunds)) == (0, 1)


async def test_a_mail_whose_order_is_read_as_not_yet_paid_is_sent_later_and_not_left_out(till: Till) -> None:
    await till.deliver(await till.paid_at_the_provider())
    told = Told(OrderPaid.type_name(), sales.order_id(), catalog.organiser_id())
    mailbox = till.adapters.mailer
    assert isinstance(mailbox, Mailbox)
    await till.fail(**ORDERS_READ, kind="stale")  # the version before the last: `placed`
    with pytest.raises(OrderBehind):
        await till.cases.telling.tell(told, now=catalog.NOW)
    assert mailbox.mails == []

    await till.cases.telling.tell(told, now=catalog.NOW)
    assert len(mailbox.mails) == 1


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
