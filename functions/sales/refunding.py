"""Giving money back: the intent is the order's state, the provider's key follows from the order."""

from datetime import datetime

from functions.sales.orders import Method, Order
from functions.sales.repository import OrderRepository, StoredOrder
from functions.sales.states import OrderState
from functions.sales.telling import order_refunded, refund_delayed
from shared.events.envelope import outbox
from shared.kernel.ids import OrderId
from shared.payments.port import Payments, PaymentsRefused
from shared.retry import retry
from shared.store.port import Busy, StaleWrite, Unavailable
from shared.telemetry import Log, count

_log = Log("sales")


class Refunding:
    """Carries out refunds."""

    def __init__(self, orders: OrderRepository, payments: Payments) -> None:
        self._orders = orders
        self._payments = payments

    async def run(self, order_id: OrderId, *, now: datetime) -> Order:
        """The order, refunded; any other state than `refunding` stays as it is. Again changes nothing.

        :raises PaymentsUnavailable: the provider does not answer; later
        :raises PaymentsRefused: it never will: for a person to look at
        """

        async def attempt() -> Order:
            read = await self._orders.read(order_id)
            if read.order.state is not OrderState.REFUNDING:
                return read.order
            try:
                refund_id = await self._give_back(read.order)
            except PaymentsRefused as refusal:
                count("refunds_refused")
                _log.error("refund_refused", order_id=order_id, code=refusal.code)
                await self._note_refusal(read, refusal, now)
                raise
            refunded = read.order.refunded(refund_id=refund_id, now=now)
            _log.info("order_refunded", order_id=order_id, refund_id=refund_id)
            return (await self._orders.save(read, refunded, beside=[outbox(order_refunded(refunded, now))])).order

        return await retry(attempt, on=(StaleWrite, Busy, Unavailable))

    async def _note_refusal(self, read: StoredOrder, refusal: PaymentsRefused, now: datetime) -> None:
        """The next asking is another, if this one came to nothing; the first refusal is told to the waiting buyer."""
        assert read.order.payment is not None, "an order that is refunding has a payment"
        first = read.order.payment.refund_refused_at is None
        if not first and not refusal.nothing_done:
            return
        refused = read.order.refund_refused(now, nothing_done=refusal.nothing_done)
        await self._orders.save(read, refused, beside=[outbox(refund_delayed(refused, now))] if first else [])

    async def _give_back(self, order: Order) -> str:
        """The refund's id; what needs no provider is given back by hand at the desk."""
        assert order.payment is not None, "an order that is refunding has a payment"
        if order.method is not Method.CARD:
            return f"{order.method}:{order.order_id}"
        # A new key cannot give the money back twice: the provider never refunds more than was paid.
        key = f"refund:{order.order_id}:{order.payment.refund_number}"
        return await self._payments.refund(order.payment.payment_id, amount=order.payment.amount, key=key)
