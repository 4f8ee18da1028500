"""How an order ends: paid, expired or cancelled; the order's etag decides which came first.

Before an order is closed its checkout is expired at the provider, so that no payment can come after; if one was faster,
the order is settled instead. A payment that still arrives for an order that cannot take it goes back.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

from functions.admission.repository import TicketRepository, creating, replacing
from functions.sales.checkout import CheckoutSessions
from functions.sales.orders import Order, Payment
from functions.sales.repository import OrderRepository, StoredOrder
from functions.sales.states import OPEN, OrderState, OrderStateRefused
from functions.sales.telling import order_cancelled, order_expired, order_paid, order_refunding
from shared.auth.permissions import Caller, Permission, PermissionMissing, may, require
from shared.events.envelope import Event, outbox
from shared.events.sales import CancelledBy, PaymentReported
from shared.kernel.errors import NotFound
from shared.kernel.ids import OrderId
from shared.payments.port import Session, SessionStatus
from shared.retry import retry
from shared.store.port import Busy, StaleWrite, Unavailable, Write
from shared.telemetry import Log, count

_log = Log("sales")
_AGAIN: Final = (StaleWrite, Busy, Unavailable)
_HAS_MONEY: Final = frozenset({OrderState.PAID, OrderState.REFUNDING, OrderState.REFUNDED, OrderState.PARTLY_REFUNDED})

type Close = Callable[[Order], Order]
type Tell = Callable[[Order, datetime], Event]


class SecondPayment(Exception):
    """An order that has its money got another payment: for a person to look at, among the dead letters."""


class Settlement:
    """Ends orders."""

    def __init__(self, orders: OrderRepository, tickets: TicketRepository, sessions: CheckoutSessions) -> None:
        self._orders = orders
        self._tickets = tickets
        self._sessions = sessions

    async def settle(self, report: PaymentReported, *, now: datetime) -> Order:
        """The order after a payment was reported: paid with its tickets, or on its way to be refunded.

        :raises NotFound: no such order (yet)
        :raises OrderStateRefused: it is not placed (yet)
        :raises SecondPayment: it was paid before, by another payment
        """

        async def attempt() -> Order:
            read = await self._orders.read(report.order_id)
            if not report.paid:
                return read.order
            if read.order.state in _HAS_MONEY:
                return _known(read.order, report)
            payment = Payment(payment_id=report.payment_id, amount=report.amount, received_at=now)
            if read.order.state is OrderState.PLACED and report.amount == read.order.total:
                return await self._pay(read, payment, now)
            count("late_payments")
            _log.warning("payment_goes_back", order_id=report.order_id, state=read.order.state.value)
            return await self._begin_refund(read, payment, now)

        return await retry(attempt, on=_AGAIN)

    async def expire(self, order_id: OrderId, *, now: datetime) -> Order:
        """The order after its deadline: expired, or cancelled if it was never placed, or paid if it was paid after all.

        Before the deadline, or once it ended, nothing changes.

        :raises PaymentsUnavailable: its checkout cannot be closed now; its stock stays held
        """

        async def attempt() -> Order:
            read = await self._orders.read(order_id)
            if read.order.state not in OPEN or now < read.order.deadline:
                return read.order
            if read.order.state is OrderState.PLACING:
                return await self._close(read, Order.cancelled, order_cancelled, now)
            return await self._close(read, Order.expired, order_expired, now)

        return await retry(attempt, on=_AGAIN)

    async def cancel(self, order_id: OrderId, *, caller: Caller, now: datetime) -> Order:
        """The order, called off by its buyer or those who may refund it; cancelling again changes nothing.

        :raises NotFound: no such order, or not the caller's
        :raises PermissionMissing: the caller may only look at it
        :raises OrderStateRefused: it is paid, or ended otherwise
        :raises PaymentsUnavailable: its checkout cannot be closed now
        """

        async def attempt() -> Order:
            read = await self._orders.read(order_id)
            refuse_stranger(read.order, caller)
            own = caller.is_person(read.order.placed_by)
            if not own and not may(caller, Permission.REFUND, read.order.organiser_id):
                raise PermissionMissing("You may see this order, not cancel it.", needs=Permission.REFUND)
            if read.order.state is OrderState.CANCELLED:
                return read.order
            if read.order.state not in OPEN:
                raise _cannot_cancel(read.order)
            by = CancelledBy.BUYER if own else CancelledBy.ORGANISER
            closed = await self._close(read, Order.cancelled, partial(order_cancelled, by=by), now)
            if closed.state is not OrderState.CANCELLED:
                raise _cannot_cancel(closed)
            return closed

        return await retry(attempt, on=_AGAIN)

    async def refund(self, order_id: OrderId, *, caller: Caller, now: datetime) -> Order:
        """A paid order whose money goes back and whose tickets are void at once; again changes nothing.

        :raises NotFound: no such order, or another organiser's
        :raises OrderStateRefused: it is not paid
        """

        async def attempt() -> Order:
            read = await self._orders.read(order_id)
            require(caller, Permission.REFUND, read.order.organiser_id, what=f"order {order_id}")
            if read.order.state in {OrderState.REFUNDING, OrderState.REFUNDED}:
                return read.order
            if read.order.state is not OrderState.PAID or read.order.payment is None:
                raise OrderStateRefused(
                    f"The order is {read.order.state}; only a paid one can be refunded.", state=read.order.state.value
                )
            return await self._begin_refund(read, read.order.payment, now)

        return await retry(attempt, on=_AGAIN)

    async def _close(self, read: StoredOrder, close: Close, tell: Tell, now: datetime) -> Order:
        """Close an order that nobody can pay any more; settle it if somebody did."""
        if read.order.checkout is not None:
            session = await self._sessions.expire(read.order)
            if session is not None and session.status is SessionStatus.COMPLETE:
                return await self.settle(report_of(session, read.order, now), now=now)
        closed = close(read.order)
        saved = await self._orders.save(read, closed, beside=[outbox(tell(closed, now))])
        _log.info("order_closed", order_id=closed.order_id, state=closed.state.value)
        return saved.order

    async def _pay(self, read: StoredOrder, payment: Payment, now: datetime) -> Order:
        paid = read.order.paid(payment)
        beside: list[Write] = [*creating(paid.tickets(now)), outbox(order_paid(paid, now))]
        saved = (await self._orders.save(read, paid, beside=beside)).order
        count("orders_paid")
        count("tickets_sold", paid.quantity)
        return saved

    async def _begin_refund(self, read: StoredOrder, payment: Payment, now: datetime) -> Order:
        refunding = read.order.refunding(payment=payment, now=now)
        issued = await self._tickets.of_order(read.order.order_id) if read.order.state is OrderState.PAID else []
        voided: list[Write] = [replacing(ticket, ticket.ticket.voided()) for ticket in issued]
        beside = [*voided, outbox(order_refunding(refunding, now))]
        return (await self._orders.save(read, refunding, beside=beside)).order


def report_of(session: Session, order: Order, now: datetime) -> PaymentReported:
    """What a session says, as the payments queue would have told it."""
    return PaymentReported(
        id=f"{order.order_id}.payment.{session.payment_id}",
        occurred_at=now,
        organiser_id=order.organiser_id,
        order_id=order.order_id,
        session_id=session.session_id,
        payment_id=session.payment_id,
        paid=session.paid,
        amount=session.amount,
    )


def refuse_stranger(order: Order, caller: Caller) -> None:
    """Nothing, for who placed the order and for the organiser's people.

    :raises NotFound: anybody else
    """
    if caller.is_person(order.placed_by) or may(caller, Permission.READ_ORDERS, order.organiser_id):
        return
    raise NotFound(f"There is no order {order.order_id}.")


def _known(order: Order, report: PaymentReported) -> Order:
    if order.payment is None or order.payment.payment_id != report.payment_id:
        raise SecondPayment(f"{order.order_id} got payment {report.payment_id} beside its own")
    return order


def _cannot_cancel(order: Order) -> OrderStateRefused:
    return OrderStateRefused(f"The order is {order.state}; it cannot be cancelled.", state=order.state.value)
