"""Events on sale."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from functions.catalog.events import Event, PlannedPool, TicketType, Venue
from functions.catalog.repository import Organiser
from functions.composition import UseCases
from functions.inventory.pools import DEMAND_PER_SHARD, Pool
from shared.auth.permissions import Caller, Membership
from shared.kernel.ids import (
    EventId,
    OrganiserId,
    PersonId,
    PoolId,
    TicketTypeId,
    VenueId,
    derived_id,
)
from shared.kernel.money import Money

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
"""A moment long past, so that nothing waits for the wall clock to reach it."""


def person(name: str = "ada") -> PersonId:
    """A person's id."""
    return PersonId(derived_id("per", "test", name))


def organiser_id(name: str = "school") -> OrganiserId:
    """An organiser's id."""
    return OrganiserId(derived_id("org", name))


def owner(organiser: OrganiserId | None = None) -> Caller:
    """The person who may do everything for the organiser."""
    memberships = {organiser or organiser_id(): Membership.OWNER}
    return Caller(person_id=person("owner"), name="Olive Owner", email="owner@school.example", memberships=memberships)


def pool_id(event: EventId, name: str = "floor") -> PoolId:
    """A pool's id."""
    return PoolId(derived_id("pool", event, name))


def ticket_type_id(event: EventId, name: str = "floor") -> TicketTypeId:
    """A ticket type's id; each pool has one of its own."""
    return TicketTypeId(derived_id("tt", event, name))


def event(
    *,
    name: str = "Summer concert",
    pools: Mapping[str, int] | None = None,
    shards: int = 1,
    price_minor: int | Mapping[str, int] = 1_500,
    currency: str = "EUR",
    maximum_per_order: int = 50,
    starts_at: datetime | None = None,
) -> Event:
    """A draft with one ticket type for each pool.

    :param pools: capacities by name; default: a floor of 100
    :param price_minor: of every ticket type, or by the pool's name
    :param shards: over how many shards each pool is split at publication
    """
    event_id = EventId(derived_id("evt", name))
    organiser = organiser_id()
    starts_at = starts_at or NOW + timedelta(days=3650)
    planned = pools or {"floor": 100}
    return Event(
        event_id=event_id,
        organiser_id=organiser,
        organiser_name="The school",
        venue=venue(),
        name=name,
        description="",
        category="music",
        starts_at=starts_at,
        ends_at=starts_at + timedelta(hours=3),
        pools=tuple(
            PlannedPool(
                pool_id=pool_id(event_id, each),
                name=each,
                capacity=capacity,
                expected_demand=shards * DEMAND_PER_SHARD,
            )
            for each, capacity in planned.items()
        ),
        ticket_types=tuple(
            TicketType(
                ticket_type_id=ticket_type_id(event_id, each),
                name=each,
                price=Money(
                    amount_minor=price_minor if isinstance(price_minor, int) else price_minor[each], currency=currency
                ),
                pool_id=pool_id(event_id, each),
                maximum_per_order=maximum_per_order,
            )
            for each in planned
        ),
    )


def venue() -> Venue:
    """Where it takes place."""
    return Venue(
        organiser_id=organiser_id(),
        venue_id=VenueId(derived_id("ven", "hall")),
        name="The hall",
        address="1 School Road",
        city="Ghent",
        country="BE",
        timezone="Europe/Brussels",
    )


async def on_sale(cases: UseCases, draft: Event | None = None) -> Event:
    """The event, published through the use cases, its organiser with it."""
    draft = draft or event()
    boss = owner(draft.organiser_id)
    await cases.managing.create_organiser(
        Organiser(organiser_id=draft.organiser_id, name=draft.organiser_name, created_by=boss.person_id), now=NOW
    )
    await cases.managing.create_venue(draft.venue)
    await cases.managing.create_event(draft)
    return await cases.managing.publish(draft.event_id, caller=boss, now=NOW)


def pools_of(published: Event) -> list[Pool]:
    """Where the inventory keeps the event's pools."""
    return [published.pool(planned.pool_id) for planned in published.pools]
