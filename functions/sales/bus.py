"""Sales' queues: payments reported, deadlines reached, money to give back."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import azure.functions as func

from functions.sales.failing import FailedPayments
from functions.sales.placing import EXPIRIES
from functions.sales.refunding import Refunding
from functions.sales.settling import Settlement
from functions.sales.states import OPEN, OrderState, OrderStateRefused
from functions.sales.webhook import PAYMENTS_QUEUE
from shared.bus.port import Bus
from shared.events.sales import ExpireOrder, OrderRefunding, PaymentReported
from shared.kernel.clock import utc_now
from shared.kernel.errors import NotFound
from shared.telemetry import observe
from shared.web.triggers import NotYet, queue_consumer

REFUNDS: Final = "refunds"
CLOCKS_APART: Final = timedelta(seconds=30)


def consumers(
    settlement: Settlement, failed: FailedPayments, refunding: Refunding, bus: Bus
) -> Sequence[func.Blueprint]:
    """The queue triggers of sales."""

    async def settle_order(report: PaymentReported, now: datetime) -> None:
        if not report.paid:
            await failed.note(report, now=now)
            return
        try:
            order = await settlement.settle(report, now=now)
        except (NotFound, OrderStateRefused) as error:
            # What is being placed cannot have been paid for: the store shows an earlier state of the order, or none.
            raise NotYet(f"payment {report.payment_id} is ahead of its order") from error
        if order.state is OrderState.PAID and order.payment is not None and order.payment.received_at == now:
            # Another process's clock, which may be ahead of ours.
            observe("settlement_seconds", max(0.0, (utc_now() - report.occurred_at).total_seconds()))

    async def expire_order(command: ExpireOrder, now: datetime) -> None:
        order = await settlement.expire(command.order_id, now=now)
        if order.state in OPEN and now < order.deadline <= now + CLOCKS_APART:
            raise NotYet("our clock is a little behind the bus's")

    async def refund_order(event: OrderRefunding, now: datetime) -> None:
        order = await refunding.run(event.order_id, now=now)
        if order.state not in {OrderState.REFUNDED, OrderState.PARTLY_REFUNDED}:
            raise NotYet(f"order {event.order_id} is shown as it was before its refund began")

    return [
        queue_consumer(settle_order, queue=PAYMENTS_QUEUE, message=PaymentReported, bus=bus),
        queue_consumer(expire_order, queue=EXPIRIES, message=ExpireOrder, bus=bus),
        queue_consumer(refund_order, queue=REFUNDS, message=OrderRefunding, bus=bus),
    ]
