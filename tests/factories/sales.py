"""Orders, and those who place them."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from functions.catalog.events import Event
from functions.inventory.pools import Allocation, Pool
from functions.sales.orders import Buyer, Line, Method, Order
from functions.sales.placing import Wanted, facts_of
from shared.auth.permissions import Caller
from shared.kernel.ids import EventId, OrderId, PoolId, TicketTypeId, derived_id
from shared.kernel.money import Money
from tests.factories import catalog

DEADLINE = timedelta(minutes=15)


def buyer(name: str = "ada") -> Caller:
    """Somebody signed in, with no role."""
    return Caller(person_id=catalog.person(name), name=name.title(), email=f"{name}@example.org")


def order_id(key: str = "key-1", caller: Caller | None = None) -> OrderId:
    """The id that a caller's Idempotency-Key leads to, as `functions/sales/wire.py` derives it."""
    return OrderId(derived_id("ord", (caller or buyer()).person_id, key))


def wanted(
    event_id: EventId,
    *,
    quantities: Mapping[str, int] | None = None,
    method: Method = Method.CARD,
    caller: Caller | None = None,
) -> Wanted:
    """A request for places.

    :param quantities: by the pool's name, each pool having one ticket type; default: two of the floor
    """
    caller = caller or buyer()
    lines = [(catalog.ticket_type_id(event_id, name), n) for name, n in (quantities or {"floor": 2}).items()]
    return Wanted(
        event_id=event_id,
        lines=lines,
        method=method,
        buyer=Buyer(person_id=caller.person_id, name=caller.name, email=caller.email),
        body_hash=hashlib.sha256(repr((event_id, lines, method)).encode()).hexdigest(),
    )


def order(
    *,
    event: Event | None = None,
    quantity: int = 2,
    unit_minor: int = 1_500,
    method: Method = Method.CARD,
    now: datetime = catalog.NOW,
    deadline: timedelta = DEADLINE,
) -> Order:
    """An order that has just begun."""
    event = event or catalog.event()
    planned = event.pools[0]
    pool = Pool(organiser_id=event.organiser_id, event_id=event.event_id, pool_id=planned.pool_id, shards=1)
    unit = Money(amount_minor=unit_minor, currency="EUR")
    return Order(
        order_id=order_id(),
        organiser_id=event.organiser_id,
        event=facts_of(event),
        placed_by=buyer().person_id,
        buyer=Buyer(person_id=buyer().person_id, name="Ada", email="ada@example.org"),
        method=method,
        lines=(line(planned.pool_id, event.ticket_types[0].ticket_type_id, quantity=quantity, unit=unit),),
        total=unit.times(quantity),
        body_hash="a hash",
        created_at=now,
        begun_at=now,
        deadline=now + deadline,
        pools=(pool,),
        due_at=now + deadline,
    )


def line(pool_id: PoolId, ticket_type_id: TicketTypeId, *, quantity: int = 2, unit: Money) -> Line:
    """Some places of one type."""
    return Line(ticket_type_id=ticket_type_id, name="floor", pool_id=pool_id, quantity=quantity, unit=unit)


def held(of: Order) -> Sequence[Allocation]:
    """What the order would hold if one shard had it all."""
    return [Allocation(pool_id=pool.pool_id, shard=0, quantity=n, attempt=of.attempt) for pool, n in of.demands]
