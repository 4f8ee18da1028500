"""Which notices are still true when their turn comes: late, twice, out of order, for an order that is not there."""

import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from functions.composition import UseCases, use_cases
from functions.notifications.bus import QUEUE, NoticeMessage
from functions.notifications.telling import Told
from functions.sales.bus import consumers
from functions.sales.orders import Order
from functions.sales.repair import GRACE
from functions.sales.settling import report_of
from functions.sales.states import OrderState
from shared.bus.port import Message
from shared.events.sales import PaymentReported
from shared.kernel.clock import utc_now
from shared.kernel.ids import OrderId
from shared.payments.port import PaymentsRefused
from shared.telemetry import Histogram, counters, histograms
from tests.doubles.host import queue_function
from tests.doubles.mailbag import Mailbag
from tests.doubles.mailbox import Mailbox
from tests.doubles.provider import Provider
from tests.factories import catalog, sales
from tests.factories import settings as factory
from tests.property.backroom import Backroom

PAST = sales.DEADLINE + timedelta(seconds=1)


@dataclass
class Office:
    """The use cases, with their mail on the table."""

    cases: UseCases
    room: Backroom
    provider: Provider
    mailbox: Mailbox
    now: datetime = catalog.NOW
    waiting: list[NoticeMessage] = field(default_factory=list)

    async def order(self) -> Order:
        """A placed order whose checkout is open."""
        published = await catalog.on_sale(self.cases)
        caller = sales.buyer()
        order = await self.cases.placing.place(
            sales.wanted(published.event_id), order_id=sales.order_id(), caller=caller, now=self.now
        )
        return await self.cases.checkouts.open(order.order_id, caller=caller, now=self.now)

    async def collect(self, order: Order) -> None:
        """Everything published comes to where mails are written."""
        await self.room.relay(order.order_id)
        self.waiting += [NoticeMessage.model_validate_json(m.body) for m in self.room.bag.take(QUEUE)]

    async def write(self, times: int = 1) -> list[str]:
        """The subjects of the mails that are sent for what waits, each delivered so often."""
        before = len(self.mailbox.mails)
        for message in self.waiting * times:
            told = Told(message.type, message.order_id, message.organiser_id, message.by, "cor_of_the_test")
            await self.cases.telling.tell(told, now=self.now)
        self.waiting.clear()
        return [mail.subject for mail in self.mailbox.mails[before:]]

    def failed(self, order: Order, payment_id: str = "pi_1") -> PaymentReported:
        """What the provider reports of a card that was declined."""
        return PaymentReported(
            id=f"{order.order_id}.payment_failed.{payment_id}", occurred_at=self.now, session_id="", paid=False,
            organiser_id=order.organiser_id, order_id=order.order_id, payment_id=payment_id, amount=order.total,
        )  # fmt: skip


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with an_office(tmp_path) as opened:
        yield opened


@asynccontextmanager
async def an_office(data: Path) -> AsyncIterator[Office]:
    provider, mailbox = Provider(clock=lambda: catalog.NOW), Mailbox()
    with factory.adapters(data, bus=Mailbag(), payments=provider, mailer=mailbox) as adapters:
        cases = use_cases(factory.settings(data), adapters)
        yield Office(cases, Backroom(cases, adapters), provider, mailbox)


async def test_failed_payments_are_told_once_however_often_they_are_reported(office: Office) -> None:
    order = await office.order()

    noted = [
        await office.cases.failed_payments.note(office.failed(order, pi), now=office.now)
        for pi in ("pi_1", "pi_1", "pi_2")
    ]

    await office.collect(order)
    assert noted == [True, False, False]
    assert await office.write(times=2) == ["Your payment for Summer concert did not go through"]
    [mail] = office.mailbox.mails
    assert order.checkout is not None
    assert order.checkout.url in mail.text
    assert "held for you\nuntil 13:15 on Thursday, 15 January 2026 (Europe/Brussels)." in mail.text


async def test_a_failure_reported_after_the_payment_or_the_end_changes_nothing(office: Office) -> None:
    order = await office.order()
    assert order.checkout is not None
    session = office.provider.pay(order.checkout.session_id)
    paid = await office.cases.settlement.settle(report_of(session, order, office.now), now=office.now)

    assert not await office.cases.failed_payments.note(office.failed(order), now=office.now)

    assert await office.cases.orders.for_mail(order.order_id) == paid
    await office.collect(order)
    assert await office.write() == ["Your tickets for Summer concert"]


@pytest.mark.parametrize("minutes", [15, 60])
async def test_a_failure_reported_after_the_deadline_is_not_told(office: Office, minutes: int) -> None:
    order = await office.order()

    assert not await office.cases.failed_payments.note(
        office.failed(order), now=office.now + timedelta(minutes=minutes)
    )

    await office.collect(order)
    assert await office.write() == []


async def test_a_failure_of_an_order_nobody_knows_is_let_go(office: Office) -> None:
    order = await office.order()
    report = office.failed(order).model_copy(update={"order_id": OrderId("ord_" + "a" * 26)})

    assert not await office.cases.failed_payments.note(report, now=office.now)


async def test_a_failure_whose_mail_comes_after_the_payment_is_not_told(office: Office) -> None:
    order = await office.order()
    assert order.checkout is not None
    await office.cases.failed_payments.note(office.failed(order), now=office.now)
    await office.collect(order)
    session = office.provider.pay(order.checkout.session_id)
    await office.cases.settlement.settle(report_of(session, order, office.now), now=office.now)

    assert await office.write() == []


@pytest.mark.parametrize("end", ["expired", "cancelled"])
async def test_money_that_came_too_late_is_told_as_such_and_the_end_no_longer(office: Office, end: str) -> None:
    order = await office.order()
    assert order.checkout is not None
    if end == "expired":
        await office.cases.settlement.expire(order.order_id, now=office.now + PAST)
    else:
        await office.cases.settlement.cancel(order.order_id, caller=sales.buyer(), now=office.now)
    await office.collect(order)
    session = office.provider.pay(order.checkout.session_id, under_way=True)
    await office.cases.settlement.settle(report_of(session, order, office.now), now=office.now)
    await office.cases.refunding.run(order.order_id, now=office.now)
    await office.collect(order)

    assert await office.write(times=2) == ["Your refund for Summer concert"]
    [mail] = office.mailbox.mails
    assert "Your payment reached us after the order had ended" in mail.text
    assert "All of it, 30.00 EUR, goes back to the card" in mail.text
    assert "no longer valid" not in mail.text, "there never were tickets"


async def test_a_payment_of_another_amount_that_goes_back_is_told_as_such(office: Office) -> None:
    order = await office.order()
    assert order.checkout is not None
    report = report_of(office.provider.pay(order.checkout.session_id), order, office.now)
    twice = report.model_copy(update={"amount": order.total.times(2)})

    await office.cases.settlement.settle(twice, now=office.now)

    office.provider.paid[report.payment_id] = order.total.times(2)
    await office.cases.refunding.run(order.order_id, now=office.now)
    await office.collect(order)
    assert await office.write() == ["Your refund for Summer concert"]
    assert "Your payment of 60.00 EUR was not what the order cost." in office.mailbox.mails[0].text


@pytest.mark.parametrize("refusal", ["refused", "forbidden"])
async def test_a_refused_refund_is_told_once_and_the_refund_when_it_comes(office: Office, refusal: str) -> None:
    order = await office.order()
    assert order.checkout is not None
    session = office.provider.pay(order.checkout.session_id)
    await office.cases.settlement.settle(report_of(session, order, office.now), now=office.now)
    await office.collect(order)
    assert await office.write() == ["Your tickets for Summer concert"]
    await office.cases.settlement.refund(order.order_id, caller=catalog.owner(order.organiser_id), now=office.now)

    office.provider.trouble, refused = [refusal, refusal], counters().get("refunds_refused", 0)
    for _ in range(2):
        with pytest.raises(PaymentsRefused):
            await office.cases.refunding.run(order.order_id, now=office.now)
        await office.collect(order)

    assert counters()["refunds_refused"] == refused + 2
    assert [message.type for message in office.waiting if message.type != "OrderRefunding"] == ["RefundDelayed"]
    assert await office.write() == ["Your refund for Summer concert takes longer"]
    done = await office.cases.refunding.run(order.order_id, now=office.now)
    await office.collect(order)
    assert done.state is OrderState.REFUNDED
    assert await office.write() == ["Your refund for Summer concert"]


async def test_a_delay_is_not_told_once_the_money_is_back(office: Office) -> None:
    order = await office.order()
    assert order.checkout is not None
    session = office.provider.pay(order.checkout.session_id)
    await office.cases.settlement.settle(report_of(session, order, office.now), now=office.now)
    await office.cases.settlement.refund(order.order_id, caller=catalog.owner(order.organiser_id), now=office.now)
    office.provider.trouble = ["refused"]
    with pytest.raises(PaymentsRefused):
        await office.cases.refunding.run(order.order_id, now=office.now)
    await office.cases.refunding.run(order.order_id, now=office.now)
    await office.collect(order)

    assert await office.write() == ["Your refund for Summer concert"]


async def test_an_order_never_placed_completely_is_not_told_that_it_was_cancelled(office: Office) -> None:
    order = await office.order()
    never = order.model_copy(update={"state": OrderState.PLACING, "held": (), "checkout": None})
    read = await office.room.orders.read(order.order_id)
    await office.room.orders.save(read, never)

    ended = await office.cases.settlement.expire(order.order_id, now=office.now + PAST)

    await office.collect(order)
    assert ended.state is OrderState.CANCELLED
    assert [message.type for message in office.waiting] == ["OrderCancelled"]
    assert await office.write() == []


async def test_what_a_repair_ends_is_told_under_an_id_that_its_log_lines_have(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tessera")
    order = await office.order()

    assert await office.cases.repair.overdue_orders(office.now + sales.DEADLINE + 2 * GRACE) == 1

    await office.room.relay(order.order_id)
    [message] = office.room.bag.take(QUEUE)
    assert message.type == "OrderExpired"
    assert re.fullmatch(r"cor_[a-z2-7]{26}", message.correlation_id)
    lines = [
        json.loads(record.getMessage()) for record in caplog.records if message.correlation_id in record.getMessage()
    ]
    assert [(line["event"], line["order_id"]) for line in lines] == [
        ("order_overdue", order.order_id),
        ("order_closed", order.order_id),
    ]


async def test_a_settlement_that_a_clock_ahead_of_ours_began_took_no_time_rather_than_less(office: Office) -> None:
    order = await office.order()
    assert order.checkout is not None
    session = office.provider.pay(order.checkout.session_id)
    cases = office.cases
    settle = queue_function(consumers(cases.settlement, cases.failed_payments, cases.refunding, office.room.bag)[0])
    before = histograms().get(("settlement_seconds",), Histogram())
    report = report_of(session, order, utc_now() + timedelta(hours=1))

    await settle(Message(report.id, report.type_name(), report.model_dump_json().encode()))

    after = histograms()["settlement_seconds",]
    assert (after.number - before.number, after.seconds - before.seconds) == (1, 0.0)
