"""Orders: what was wanted, what it costs, and each step of its life. Pure; every change goes through one door."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum, unique
from typing import Final, Self

from pydantic import ConfigDict

from functions.admission.tickets import EventFacts, Ticket, issue
from functions.inventory.pools import Allocation, Pool
from functions.sales.states import TRANSITIONS, OrderState, OrderStateRefused
from shared.kernel.clock import Moment
from shared.kernel.ids import OrderId, OrganiserId, PersonId, PoolId, TicketTypeId
from shared.kernel.model import Model
from shared.kernel.money import Money

QUANTITY_MAX: Final = 50
LINES_MAX: Final = 20
SESSION_LIFE: Final = timedelta(minutes=32)  # Stripe wants at least 30; the rest is for slow clocks and retries


@unique
class Method(StrEnum):
    """How an order is paid."""

    CARD = "card"
    DESK = "desk"
    FREE = "free"


class Line(Model):
    """Some places of one ticket type, at the price of the moment the order was placed."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    ticket_type_id: TicketTypeId
    name: str
    pool_id: PoolId
    quantity: int
    unit: Money


class Buyer(Model):
    """Who the order is for.

    :param person_id: whose wallet the tickets go to; empty at the desk, where people need no account
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    person_id: PersonId
    name: str
    email: str


class Checkout(Model):
    """The intent to be paid, stored before the provider is asked; then what it answered.

    :param number: of the intent: a new one may follow only when the provider said that nothing came of the last
    :param site: where the provider sends people back to
    :param expires_at: fixed once for each intent, so that asking again asks the same
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    number: int = 1
    site: str
    begun_at: Moment
    expires_at: Moment
    session_id: str = ""
    url: str = ""


class Payment(Model):
    """Money we have for an order.

    :param payment_id: the provider's id; for cash at the desk the operator's
    :param refund_number: of the asking for a refund: the provider repeats a refusal under its key
    :param refund_refused_at: when the provider first would not give it back, which its buyer is told
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    payment_id: str
    amount: Money
    received_at: Moment
    refund_number: int = 1
    refund_refused_at: Moment | None = None
    refund_id: str = ""
    refunded_at: Moment | None = None


class Order(Model):
    """An order as stored.

    :param body_hash: of the request that placed it: the same key with another body is refused
    :param begun_at: when the newest placing attempt began
    :param attempt: the newest placing attempt; only it can place the order
    :param abandoned: attempts that may have left holds nobody recorded; freed when the order ends
    :param held: what the order holds
    :param payment_failed_at: when its buyer was first told that a payment failed
    :param due_at: when the repair timer should look at it; None once nothing is owed
    :param trace_parent: of the request that placed it, which its checkout and its payment go on with in telemetry
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    order_id: OrderId
    organiser_id: OrganiserId
    event: EventFacts
    placed_by: PersonId
    buyer: Buyer
    method: Method
    lines: tuple[Line, ...]
    total: Money
    body_hash: str
    created_at: Moment
    begun_at: Moment
    deadline: Moment
    state: OrderState = OrderState.PLACING
    attempt: int = 1
    abandoned: tuple[int, ...] = ()
    pools: tuple[Pool, ...]
    held: tuple[Allocation, ...] = ()
    checkout: Checkout | None = None
    payment: Payment | None = None
    payment_failed_at: Moment | None = None
    due_at: Moment | None
    trace_parent: str = ""
    version: int = 1

    @property
    def quantity(self) -> int:
        """Places in the order."""
        return sum(line.quantity for line in self.lines)

    @property
    def demands(self) -> list[tuple[Pool, int]]:
        """How many places of each pool, in the pools' order."""
        wanted = {pool.pool_id: 0 for pool in self.pools}
        for line in self.lines:
            wanted[line.pool_id] += line.quantity
        return [(pool, wanted[pool.pool_id]) for pool in self.pools]

    def again(self, *, deadline: datetime, now: datetime) -> Self:
        """The next placing attempt, after a refusal or in place of one that did not finish."""
        left_behind = (self.attempt,) if self.state is OrderState.PLACING else ()
        return self._to(
            OrderState.PLACING,
            attempt=self.attempt + 1,
            abandoned=(*self.abandoned, *left_behind),
            begun_at=now,
            deadline=deadline,
            due_at=deadline,
        )

    def placed(self, held: Sequence[Allocation]) -> Self:
        """Stock is held."""
        return self._to(OrderState.PLACED, held=tuple(held))

    def refused(self) -> Self:
        """There was not enough stock, and everything this attempt took was given back."""
        return self._to(OrderState.REFUSED, due_at=None)

    def with_checkout(self, checkout: Checkout) -> Self:
        """The order with its checkout as it now is.

        :raises OrderStateRefused: it no longer waits for its payment
        """
        if self.state is not OrderState.PLACED:
            raise OrderStateRefused(f"The order is {self.state}; it cannot be paid any more.", state=self.state.value)
        return self._changed(checkout=checkout)

    def paid(self, payment: Payment) -> Self:
        """The money is ours."""
        return self._to(OrderState.PAID, payment=payment, due_at=None)

    def payment_failed(self, now: datetime) -> Self:
        """A payment failed, and its buyer is told: once, however many cards they try."""
        return self if self.payment_failed_at else self._changed(payment_failed_at=now)

    def expired(self) -> Self:
        """Nobody paid before the deadline."""
        return self._to(OrderState.EXPIRED, due_at=None)

    def cancelled(self) -> Self:
        """Called off before it was paid; what an unfinished attempt took is freed with it."""
        unfinished = (self.attempt,) if self.state is OrderState.PLACING else ()
        return self._to(OrderState.CANCELLED, abandoned=(*self.abandoned, *unfinished), due_at=None)

    def refunding(self, *, payment: Payment, now: datetime) -> Self:
        """The money has to go back."""
        return self._to(OrderState.REFUNDING, payment=payment, due_at=now)

    def refunded(self, *, refund_id: str, now: datetime) -> Self:
        """The money went back; its places still have to."""
        assert self.payment is not None, "only a payment can be refunded"
        payment = self.payment.model_copy(update={"refund_id": refund_id, "refunded_at": now})
        return self._to(OrderState.REFUNDED, payment=payment, due_at=now)

    def nothing_owed(self) -> Self:
        """Nothing is left to be done for it."""
        return self._changed(due_at=None)

    def refund_refused(self, now: datetime, *, nothing_done: bool) -> Self:
        """The provider would not give the money back.

        :param nothing_done: this asking certainly came to nothing, so the next one is another
        """
        assert self.payment is not None, "only a payment can be refunded"
        changed = {
            "refund_number": self.payment.refund_number + nothing_done,
            "refund_refused_at": self.payment.refund_refused_at or now,
        }
        return self._changed(payment=self.payment.model_copy(update=changed))

    def forgetting(self, person_id: PersonId) -> Self:
        """The order without the person: amounts, ids and what it was for stay. Who sold it at a desk is one too."""
        if self.placed_by != person_id:
            return self
        bought = self.buyer.person_id == person_id
        payment = self.payment and self.payment.model_copy(
            update={"payment_id": self.payment.payment_id.replace(person_id, "")}
        )
        return self._changed(
            placed_by=PersonId(""),
            buyer=Buyer(person_id=PersonId(""), name="", email="") if bought else self.buyer,
            payment=payment,
            body_hash="",
            trace_parent="",
        )

    def tickets(self, now: datetime) -> list[Ticket]:
        """One ticket for each place."""
        places = [(line.ticket_type_id, line.name) for line in self.lines for _ in range(line.quantity)]
        return issue(
            order_id=self.order_id,
            event=self.event,
            places=places,
            owner_id=self.buyer.person_id,
            holder=self.buyer.name,
            now=now,
        )

    def _to(self, state: OrderState, **details: object) -> Self:
        """The one door: the order in another state, if the table allows it."""
        if state not in TRANSITIONS[self.state]:
            raise OrderStateRefused(
                f"The order is {self.state}; it cannot become {state}.", state=self.state.value, wanted=state.value
            )
        return self._changed(state=state, **details)

    def _changed(self, **details: object) -> Self:
        return self.model_copy(update={**details, "version": self.version + 1})
