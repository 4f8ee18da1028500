"""Sending a buyer to the provider's page.

The intent is stored first, and the request follows from it alone: asked again after a lost answer, the provider gives
the session there is.
"""

import re
from datetime import datetime, timedelta
from typing import Final

from functions.catalog.repository import CatalogRepository
from functions.sales.orders import SESSION_LIFE, Checkout, Method, Order
from functions.sales.repository import OrderRepository, StoredOrder
from functions.sales.states import OrderState, OrderStateRefused
from shared.auth.permissions import Caller
from shared.kernel.errors import DomainError, Kind, NotFound
from shared.kernel.ids import OrderId
from shared.payments.port import (
    Payments,
    PaymentsRefused,
    PaymentsUnavailable,
    Session,
    SessionLine,
    SessionRequest,
    SessionStatus,
)
from shared.retry import retry
from shared.store.port import Busy, StaleWrite, Unavailable
from shared.telemetry import adopt

SESSION_SLACK: Final = timedelta(minutes=2)  # the order ends before its session does
NAME_CHARACTERS_MAX: Final = 250
EMAIL: Final = re.compile(r"^[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+$")
STALE_INTENT: Final = timedelta(seconds=60)  # an intent this old may be refused for its `expires_at` alone


class PaymentImpossible(DomainError):
    """The payment provider will not take this order, e.g. because it costs less than a card can be charged."""

    kind = Kind.CONFLICT


class CheckoutSessions:
    """An order's session at the provider: there is at most one."""

    def __init__(self, payments: Payments) -> None:
        self._payments = payments

    async def open(self, order: Order) -> Session:
        """The session of an order whose intent is stored.

        :raises PaymentsUnavailable: no answer; ask again
        """
        return await self._payments.open_session(_request(order))

    async def expire(self, order: Order) -> Session | None:
        """The session, no longer payable, or complete if somebody was faster; None when none was ever opened.

        Where the answer to the opening was lost it is asked again first, or a session could live on unknown to us.

        :raises PaymentsUnavailable: no answer, or it can still be paid; ask again
        """
        assert order.checkout is not None, "only an intent can have a session"
        session_id = order.checkout.session_id
        if not session_id:
            try:
                session_id = (await self.open(order)).session_id
            except PaymentsRefused as refusal:
                if not refusal.nothing_done:
                    raise
                return None
        session = await self._payments.expire_session(session_id)
        if session.status is SessionStatus.OPEN:
            raise PaymentsUnavailable("The payment service keeps the checkout open; the order cannot be closed yet.")
        return session


class Checkouts:
    """Opens checkouts.

    :param site: where the provider sends people back to
    """

    def __init__(
        self, orders: OrderRepository, catalog: CatalogRepository, sessions: CheckoutSessions, site: str
    ) -> None:
        self._orders = orders
        self._catalog = catalog
        self._sessions = sessions
        self._site = site

    async def open(self, order_id: OrderId, *, caller: Caller, now: datetime) -> Order:
        """The order with a checkout the buyer can be sent to; opening again gives the same.

        :raises NotFound: no such order, or not the caller's
        :raises OrderStateRefused: it does not wait for a card payment, or its deadline is over
        :raises NotOnSale: the event was cancelled since
        :raises PaymentImpossible: the provider will not take it
        :raises PaymentsUnavailable: the provider does not answer; ask again
        """

        async def attempt() -> Order:
            read = await self._orders.read(order_id)
            _refuse_unless_payable(read.order, caller, now)
            adopt(read.order.trace_parent)
            (await self._catalog.event(read.order.event.event_id)).event.refuse_if_cancelled()
            if read.order.checkout is None:
                intent = self._intent(read.order, now, number=1)
                read = await self._orders.save(read, read.order.with_checkout(intent))
            return await self._with_session(read, now)

        return await retry(attempt, on=(StaleWrite, Busy, Unavailable))

    def _intent(self, order: Order, now: datetime, *, number: int) -> Checkout:
        expires_at = max(now + SESSION_LIFE, order.deadline + SESSION_SLACK)
        return Checkout(number=number, site=self._site, begun_at=now, expires_at=expires_at)

    async def _with_session(self, read: StoredOrder, now: datetime) -> Order:
        checkout = read.order.checkout
        assert checkout is not None, "the intent was stored before"
        if checkout.url:
            return read.order
        try:
            session = await self._sessions.open(read.order)
        except PaymentsRefused as refusal:
            if not refusal.nothing_done:
                raise
            if now - checkout.begun_at < STALE_INTENT:
                raise PaymentImpossible("The payment service cannot take this order.", code=refusal.code) from refusal
            # The first asking never arrived, and by now its `expires_at` is too near: a new intent, with a new key.
            fresh = read.order.with_checkout(self._intent(read.order, now, number=checkout.number + 1))
            return await self._with_session(await self._orders.save(read, fresh), now)
        known = checkout.model_copy(update={"session_id": session.session_id, "url": session.url})
        return (await self._orders.save(read, read.order.with_checkout(known))).order


def _refuse_unless_payable(order: Order, caller: Caller, now: datetime) -> None:
    if not caller.is_person(order.placed_by):
        raise NotFound(f"There is no order {order.order_id}.")
    if order.method is not Method.CARD:
        raise OrderStateRefused("This order is not paid by card.", state=order.state.value)
    if order.state is OrderState.PAID:
        raise OrderStateRefused("This order is paid; its tickets are yours already.", state=order.state.value)
    if order.state is not OrderState.PLACED or now >= order.deadline:
        raise OrderStateRefused("This order can no longer be paid; order again.", state=order.state.value)


def _request(order: Order) -> SessionRequest:
    """What is asked follows from the stored order alone, whatever the settings are by then."""
    assert order.checkout is not None, "the intent comes first"
    metadata = {"order_id": order.order_id, "organiser_id": order.organiser_id}
    if order.trace_parent:  # so that the webhook, which the provider sends, continues the buyer's operation
        metadata["trace_parent"] = order.trace_parent
    back = f"{order.checkout.site}/checkout/result?order={order.order_id}"
    return SessionRequest(
        key=f"checkout:{order.order_id}:{order.checkout.number}",
        order_id=order.order_id,
        lines=[
            SessionLine(
                name=f"{order.event.name} – {line.name}"[:NAME_CHARACTERS_MAX], unit=line.unit, quantity=line.quantity
            )
            for line in order.lines
        ],
        expires_at=order.checkout.expires_at,
        success_url=f"{back}&outcome=paid",
        cancel_url=f"{back}&outcome=cancelled",
        email=order.buyer.email if EMAIL.match(order.buyer.email) else "",  # it only fills a field of the page
        metadata=metadata,
    )
