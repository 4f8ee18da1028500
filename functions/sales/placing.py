"""Placing an order: fix the prices, hold the stock, and only then say yes.

The order is written before its stock is held, with the command that ends it at its deadline: whatever dies in between,
the order's own partition knows what may be left behind. Only the newest attempt can place the order: its etag
arbitrates. Of two equal requests at once the second waits for the first, and takes over only if it does not move.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from functions.admission.repository import creating
from functions.admission.tickets import EventFacts
from functions.catalog.events import Event, EventState
from functions.catalog.repository import CatalogRepository
from functions.inventory.gathering import Superseded
from functions.inventory.holds import Holds, PoolShort
from functions.sales.orders import Buyer, Line, Method, Order, Payment
from functions.sales.repository import OrderRepository, StoredOrder
from functions.sales.states import OrderState
from functions.sales.telling import attempt_abandoned, expire_order, order_paid, order_refused
from shared.auth.permissions import Caller, Permission, PermissionMissing, may
from shared.events.envelope import outbox
from shared.kernel.clock import utc_now
from shared.kernel.errors import Contended, DomainError, KeyReused, Malformed, NotFound
from shared.kernel.ids import EventId, OrderId, TicketTypeId
from shared.kernel.money import AMOUNT_MINOR_MAX, Money
from shared.retry import retry
from shared.store.port import AlreadyExists, Busy, Create, StaleWrite, Unavailable, Write
from shared.telemetry import count, trace_parent

EXPIRIES: Final = "expiries"
PATIENCE: Final = timedelta(seconds=2)  # how long an attempt may stand still before another takes over
POLL_SECONDS: Final = 0.025
ATTEMPTS_MAX: Final = 100
OVERTAKEN_POLLS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client asks for.

    :param lines: ticket types and quantities, each type once
    :param body_hash: of the request, to recognise another one under the same key
    """

    event_id: EventId
    lines: Sequence[tuple[TicketTypeId, int]]
    method: Method
    buyer: Buyer
    body_hash: str


class Placing:
    """Places orders.

    :param deadline: how long stock is held for an order that is not paid
    """

    def __init__(self, orders: OrderRepository, catalog: CatalogRepository, holds: Holds, deadline: timedelta) -> None:
        self._orders = orders
        self._catalog = catalog
        self._holds = holds
        self._deadline = deadline

    async def place(self, wanted: Wanted, *, order_id: OrderId, caller: Caller, now: datetime) -> Order:
        """The order `order_id` (derived from caller and key), placed; the same request again gives the same order.

        :raises PoolShort: not enough left; the same key may be tried again
        :raises KeyReused: the key belongs to another request
        :raises NotOnSale, TicketTypeUnknown, TooManyOfType, NotFound: what catalog refuses
        :raises PermissionMissing: a sale at the desk by somebody who may not
        :raises Contended: other attempts or too many buyers are in the way; the same request may succeed
        """
        try:
            fresh = await self._price(wanted, order_id=order_id, caller=caller, now=now)
        except DomainError:
            # What was bought stays bought when its event leaves the sale: a repeat gets its order.
            found = await self._orders.find(order_id)
            if found is None or found.order.state in {OrderState.PLACING, OrderState.REFUSED}:
                raise
            return _same_request(found, wanted.body_hash).order
        return await self._hold_and_place(await self._begin(fresh, now), now)

    async def _begin(self, fresh: Order, now: datetime) -> StoredOrder:
        """The order with this request's own placing attempt, or as it is if it needs none."""

        async def attempt() -> StoredOrder:
            command = outbox(expire_order(fresh, now), destination=EXPIRIES, due_at=fresh.deadline)
            try:
                return await self._orders.create(fresh, beside=[command])
            except AlreadyExists:
                read = _same_request(await self._orders.known(fresh.order_id), fresh.body_hash)
            read = await self._settled(read, until=now + PATIENCE)
            if read.order.state not in {OrderState.PLACING, OrderState.REFUSED}:
                return read
            if read.order.attempt >= ATTEMPTS_MAX:
                raise Contended("This order was tried too often; make up a new Idempotency-Key.")
            again = read.order.again(deadline=fresh.deadline, now=utc_now())
            beside = [outbox(expire_order(again, now), destination=EXPIRIES, due_at=again.deadline)]
            if again.abandoned != read.order.abandoned:
                beside.append(outbox(attempt_abandoned(again, now)))
            return await self._orders.save(read, again, beside=beside)

        return await retry(attempt, on=(StaleWrite, Busy, Unavailable))

    async def _hold_and_place(self, begun: StoredOrder, now: datetime) -> Order:
        order = begun.order
        if order.state is not OrderState.PLACING:
            return order
        try:
            held = await self._holds.hold(
                order_id=order.order_id, attempt=order.attempt, demands=order.demands, now=now
            )
        except PoolShort:
            if await self._refuse(begun, now):
                raise
            return await self._overtaken(order)
        except Superseded:
            return await self._overtaken(order)
        placed = order.placed(held)
        beside: list[Write] = []
        if order.method is not Method.CARD:
            placed, beside = paid_now(placed, now)
        try:
            saved = (await self._save(begun, placed, beside)).order
        except StaleWrite:
            return await self._overtaken(placed)
        count("orders_placed")
        if saved.state is OrderState.PAID:
            count("orders_paid")
            count("tickets_sold", saved.quantity)
        return saved

    async def _save(self, begun: StoredOrder, changed: Order, beside: Sequence[Write]) -> StoredOrder:
        """Save; an answer that was lost is looked up, since the etag tells whether the write was ours."""
        try:
            return await self._orders.save(begun, changed, beside=beside)
        except (Busy, Unavailable):
            return await retry(lambda: self._orders.save(begun, changed, beside=beside), on=(Busy, Unavailable))

    async def _known(self, order_id: OrderId) -> StoredOrder:
        return await retry(lambda: self._orders.known(order_id), on=(Busy, Unavailable))

    async def _settled(self, read: StoredOrder, *, until: datetime) -> StoredOrder:
        """The order once the attempt at work on it is through, or as it is when that has stood still too long."""
        while read.order.state is OrderState.PLACING and utc_now() < min(until, read.order.begun_at + PATIENCE):
            await asyncio.sleep(POLL_SECONDS)
            read = await self._known(read.order.order_id)
        return read

    async def _overtaken(self, mine: Order) -> Order:
        """Another attempt, or the order's end, was faster: its answer is ours, as soon as there is one.

        What this attempt holds goes back at once, unless the write that seemed refused was our own. Should we die here,
        it goes back when the order ends: whoever overtook us counts this attempt among the abandoned.
        """
        read = await self._known(mine.order_id)
        if read.order.attempt > mine.attempt or read.order.state is OrderState.CANCELLED:
            await self._holds.free(mine.held, order_id=mine.order_id)
        for _ in range(OVERTAKEN_POLLS_MAX):
            if read.order.state is OrderState.REFUSED:
                raise Contended("The same order was tried twice at once; send the same request again.")
            if read.order.state is not OrderState.PLACING:
                return read.order
            await asyncio.sleep(POLL_SECONDS)
            read = await self._known(mine.order_id)
        raise Contended("The same order is being placed twice at this moment; send the same request again.")

    async def _refuse(self, begun: StoredOrder, now: datetime) -> bool:
        """Write the refusal down; False when another attempt, or the order's end, was faster."""
        refused = begun.order.refused()
        # This attempt gave back what it took; only what earlier ones may have left needs the stock consumer.
        beside = [outbox(order_refused(refused, now))] if refused.abandoned else []
        try:
            await self._save(begun, refused, beside)
        except StaleWrite:
            return (await self._known(begun.order.order_id)).order.state is OrderState.REFUSED
        count("orders_refused")
        return True

    async def _price(self, wanted: Wanted, *, order_id: OrderId, caller: Caller, now: datetime) -> Order:
        event = (await self._catalog.event(wanted.event_id)).event
        if event.state is EventState.DRAFT and not may(caller, Permission.MANAGE_EVENTS, event.organiser_id):
            raise NotFound(f"There is no event {wanted.event_id}.")  # nobody sees a draft
        if wanted.method is Method.DESK and not may(caller, Permission.SELL_AT_DESK, event.organiser_id):
            raise PermissionMissing("Only the organiser's own people sell at the desk.", needs=Permission.SELL_AT_DESK)
        lines = [_line(event, ticket_type_id, quantity, now) for ticket_type_id, quantity in wanted.lines]
        total = sum(line.unit.amount_minor * line.quantity for line in lines)
        if total > AMOUNT_MINOR_MAX:
            raise Malformed("The order costs more than can be paid at once.", field="lines", allowed=AMOUNT_MINOR_MAX)
        pools = sorted({line.pool_id for line in lines})  # everybody holds pools in the same order
        method = Method.FREE if total == 0 and wanted.method is Method.CARD else wanted.method
        return Order(
            order_id=order_id,
            organiser_id=event.organiser_id,
            event=facts_of(event),
            placed_by=caller.person_id,
            buyer=wanted.buyer,
            method=method,
            lines=tuple(lines),
            total=Money(amount_minor=total, currency=lines[0].unit.currency),
            body_hash=wanted.body_hash,
            created_at=now,
            begun_at=now,
            deadline=now + self._deadline,
            pools=tuple(event.pool(pool_id) for pool_id in pools),
            due_at=now + self._deadline,
            trace_parent=trace_parent(),
        )


def paid_now(placed: Order, now: datetime) -> tuple[Order, list[Write]]:
    """An order that needs no provider (cash, or nothing to pay): paid in the commit that places it."""
    payment = Payment(payment_id=f"{placed.method}:{placed.placed_by}", amount=placed.total, received_at=now)
    paid = placed.paid(payment)
    tickets: list[Create] = creating(paid.tickets(now))
    return paid, [*tickets, outbox(order_paid(paid, now))]


def facts_of(event: Event) -> EventFacts:
    """What an order and its tickets keep of the event."""
    return EventFacts(
        event_id=event.event_id,
        organiser_id=event.organiser_id,
        organiser_name=event.organiser_name,
        name=event.name,
        starts_at=event.starts_at,
        ends_at=event.ends_at,
        venue=event.venue.name,
        address=event.venue.address,
        city=event.venue.city,
        timezone=event.venue.timezone,
    )


def _line(event: Event, ticket_type_id: TicketTypeId, quantity: int, now: datetime) -> Line:
    ticket_type = event.sold_at(ticket_type_id, quantity, now)
    return Line(
        ticket_type_id=ticket_type_id,
        name=ticket_type.name,
        pool_id=ticket_type.pool_id,
        quantity=quantity,
        unit=ticket_type.price,
    )


def _same_request(found: StoredOrder, body_hash: str) -> StoredOrder:
    if found.order.body_hash != body_hash:
        raise KeyReused("This Idempotency-Key was used for another order; make up a new one.", field="Idempotency-Key")
    return found
