"""Sales' queues: payments reported, deadlines reached, money to give back."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import azure.functions as func

from functions.sales.failing import FailedPayments
from functions.sales.placing import EXPIRIES
from functions.sales.refunding import Refunding
from functions.sales.settling import Settlement
from functions.sales.states import OPEN
from functions.sales.webhook import PAYMENTS_QUEUE
from shared.bus.port import Bus
from shared.events.sales import ExpireOrder, OrderRefunding, PaymentReported
from shared.kernel.errors import NotFound
from shared.web.triggers import Delivery, NotYet, queue_consumer

REFUNDS: Final = "refunds"
CLOCKS_APART: Final = timedelta(seconds=30)


def consumers(
    settlement: Settlement, failed: FailedPayments, refunding: Refunding, bus: Bus
) -> Sequence[func.Blueprint]:
    """The queue triggers of sales."""

    async def settle_order(report: PaymentReported, delivery: Delivery) -> None:
        if not report.paid:
            await failed.note(report, now=delivery.now)
            return
        try:
            await settlement.settle(report, now=delivery.now)
        except NotFound as error:
            raise NotYet(f"payment {report.payment_id} is ahead of its order") from error

    async def expire_order(command: ExpireOrder, delivery: Delivery) -> None:
        order = await settlement.expire(command.order_id, now=delivery.now)
        if order.state in OPEN and delivery.now < order.deadline <= delivery.now + CLOCKS_APART:
            raise NotYet("our clock is a little behind the bus's")

    async def refund_order(event: OrderRefunding, delivery: Delivery) -> None:
        await refunding.run(event.order_id, now=delivery.now)

    return [
        queue_consumer(settle_order, queue=PAYMENTS_QUEUE, message=PaymentReported, bus=bus),
        queue_consumer(expire_order, queue=EXPIRIES, message=ExpireOrder, bus=bus),
        queue_consumer(refund_order, queue=REFUNDS, message=OrderRefunding, bus=bus),
    ]
