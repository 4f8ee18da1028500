"""Payments that failed: the order still waits for another, and its buyer is told, once."""

from datetime import datetime

from functions.sales.repository import OrderRepository
from functions.sales.states import OrderState
from functions.sales.telling import payment_failed
from shared.events.envelope import outbox
from shared.events.sales import PaymentReported
from shared.retry import retry
from shared.store.port import Busy, StaleWrite, Unavailable
from shared.telemetry import Log

_log = Log("sales")


class FailedPayments:
    """Notes failed payments."""

    def __init__(self, orders: OrderRepository) -> None:
        self._orders = orders

    async def note(self, report: PaymentReported, *, now: datetime) -> bool:
        """Have the buyer told, if the order still waits for its payment and they were not told before; whether so.

        A report may come late, twice, or after the payment that succeeded: then there is nothing to tell. For an order
        we do not know there is nobody to tell, and no money to look for.
        """

        async def attempt() -> bool:
            read = await self._orders.find(report.order_id)
            if read is None:
                _log.warning("failed_payment_of_no_order", order_id=report.order_id, payment_id=report.payment_id)
                return False
            if read.order.state is not OrderState.PLACED or now >= read.order.deadline:
                return False
            noted = read.order.payment_failed(now)
            if noted is read.order:
                return False
            await self._orders.save(read, noted, beside=[outbox(payment_failed(noted, now))])
            return True

        return await retry(attempt, on=(StaleWrite, Busy, Unavailable))
