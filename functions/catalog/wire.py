"""What catalog's endpoints read and answer. Wire schemas belong to the edge: stored documents never leak."""

from typing import Annotated, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, Field, model_validator

from functions.catalog.browsing import EventOnShow
from functions.catalog.events import Event, EventState, PlannedPool, TicketType, Venue
from functions.catalog.repository import Organiser
from functions.inventory.pools import CAPACITY_MAX
from shared.kernel.clock import Moment
from shared.kernel.ids import EventId, OrganiserId, PoolId, TicketTypeId, VenueId, random_id
from shared.kernel.money import AMOUNT_MINOR_MAX, Currency, Money
from shared.web.endpoint import Wire
from shared.web.fields import Id, Name, PlannedMoment, one_line
from shared.web.problem import form, rule_broken

POOLS_MAX = 20
TICKET_TYPES_MAX = 50
PER_ORDER_MAX = 50


def _known_timezone(name: str) -> str:
    if name not in available_timezones():
        raise rule_broken("is no time zone of the IANA database", "a name of the IANA database, e.g. Europe/Zurich")
    return ZoneInfo(name).key


class NewOrganiser(Wire):
    """An organiser to create."""

    name: Name


class OrganiserView(BaseModel):
    """An organiser."""

    organiser_id: OrganiserId
    name: str

    @classmethod
    def of(cls, organiser: Organiser) -> Self:
        """As clients see it."""
        return cls(organiser_id=organiser.organiser_id, name=organiser.name)


class NewVenue(Wire):
    """A venue to create."""

    name: Name
    address: Annotated[str, Field(max_length=500), AfterValidator(one_line)]
    city: Name
    country: str = Field(
        pattern=form(r"^[A-Z]{2}$", "two capital letters, e.g. CH (ISO 3166-1 alpha-2)"),
        description="ISO 3166-1 alpha-2",
    )
    timezone: Annotated[str, Field(max_length=64), AfterValidator(_known_timezone)]


class VenueView(BaseModel):
    """A venue."""

    venue_id: VenueId
    organiser_id: OrganiserId
    name: str
    address: str
    city: str
    country: str
    timezone: str

    @classmethod
    def of(cls, venue: Venue) -> Self:
        """As clients see it."""
        return cls.model_validate(venue.model_dump())


class VenuePage(BaseModel):
    """A page of venues."""

    items: list[VenueView]
    continuation: str | None = None


class NewPool(Wire):
    """Places that run out together, e.g. the floor; ticket types draw from pools by name."""

    name: Name
    capacity: int = Field(ge=1, le=CAPACITY_MAX, strict=True)
    expected_demand: int = Field(default=1, ge=1, le=10_000, description="orders a second at the on-sale's peak")


class NewPrice(Wire):
    """A price in minor units."""

    amount_minor: int = Field(ge=0, le=AMOUNT_MINOR_MAX, strict=True)
    currency: Currency


class NewTicketType(Wire):
    """What can be bought."""

    name: Name
    price: NewPrice
    pool: Name = Field(description="the name of one of the event's pools")
    on_sale_from: PlannedMoment | None = None
    on_sale_until: PlannedMoment | None = None
    maximum_per_order: int = Field(default=10, ge=1, le=PER_ORDER_MAX, strict=True)

    @model_validator(mode="after")
    def _window_opens(self) -> Self:
        if self.on_sale_from is not None and self.on_sale_until is not None and self.on_sale_until <= self.on_sale_from:
            raise rule_broken("on_sale_until must be after on_sale_from", "a later on_sale_until")
        return self


class PlannedEvent(Wire):
    """Everything an event's creator decides, but for where it takes place."""

    name: Name
    description: str = Field(default="", max_length=10_000)
    category: Annotated[str, Field(min_length=1, max_length=50), AfterValidator(one_line)] = "other"
    image_url: str = Field(
        default="",
        max_length=1_000,
        pattern=form(r"^(https?://\S+)?$", "an address that begins with https:// or http://"),
    )
    starts_at: PlannedMoment
    ends_at: PlannedMoment
    pools: list[NewPool] = Field(min_length=1, max_length=POOLS_MAX)
    ticket_types: list[NewTicketType] = Field(min_length=1, max_length=TICKET_TYPES_MAX)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.ends_at <= self.starts_at:
            raise rule_broken("ends_at must be after starts_at", "a later ends_at")
        names = [pool.name for pool in self.pools]
        if len(set(names)) < len(names):
            raise rule_broken("pools must have different names", "each name once in pools")
        for ticket_type in self.ticket_types:
            if ticket_type.pool not in names:
                raise rule_broken(
                    f"ticket type “{ticket_type.name}” names a pool that is not in pools", "the name of one of pools"
                )
        if len({ticket_type.price.currency for ticket_type in self.ticket_types}) > 1:
            raise rule_broken("all prices of an event must be in one currency", "the same currency in every price")
        return self

    def details(self, venue: Venue) -> dict[str, object]:
        """The event's fields. Pools get new ids each time, so stock opened for an older draft is never used."""
        pools = {pool.name: PoolId(random_id("pol")) for pool in self.pools}
        return {
            "venue": venue,
            "name": self.name,
            "description": self.description,
            "category": self.category,
            "image_url": self.image_url,
            "starts_at": self.starts_at,
            "ends_at": self.ends_at,
            "pools": tuple(_planned(pool, pools[pool.name]) for pool in self.pools),
            "ticket_types": tuple(_ticket_type(given, pools[given.pool]) for given in self.ticket_types),
        }


class EventDetails(PlannedEvent):
    """Everything an event's creator decides."""

    venue_id: Id


class NewEvent(EventDetails):
    """An event to create, as a draft."""

    organiser_id: Id


class TicketTypeView(BaseModel):
    """What can be bought, and how many are left just now (`available` is not a promise: an order holds places)."""

    ticket_type_id: TicketTypeId
    name: str
    price: Money
    pool: str
    on_sale_from: Moment | None = None
    on_sale_until: Moment | None = None
    maximum_per_order: int
    available: int | None = None


class PoolView(BaseModel):
    """Places that run out together; ticket types draw from pools by name."""

    name: str
    capacity: int


class EventView(BaseModel):
    """Everything an event page needs."""

    event_id: EventId
    organiser_id: OrganiserId
    organiser_name: str
    state: EventState
    name: str
    description: str
    category: str
    image_url: str
    starts_at: Moment
    ends_at: Moment
    venue: VenueView
    ticket_types: list[TicketTypeView]
    pools: list[PoolView]
    capacity: int
    available: int | None = Field(default=None, description="over all pools; absent while a draft")
    version: int

    @classmethod
    def of(cls, shown: EventOnShow) -> Self:
        """As clients see it."""
        event = shown.event
        names = {pool.pool_id: pool.name for pool in event.pools}
        return cls(
            venue=VenueView.of(event.venue),
            ticket_types=[
                TicketTypeView(
                    **ticket_type.model_dump(exclude={"pool_id"}),
                    pool=names[ticket_type.pool_id],
                    available=shown.left[ticket_type.pool_id].available if shown.left else None,
                )
                for ticket_type in event.ticket_types
            ],
            pools=[PoolView(name=pool.name, capacity=pool.capacity) for pool in event.pools],
            capacity=sum(pool.capacity for pool in event.pools),
            available=sum(left.available for left in shown.left.values()) if shown.left else None,
            **event.model_dump(exclude={"venue", "ticket_types", "pools"}),
        )


def new_event(event_id: EventId, given: NewEvent, organiser: Organiser, venue: Venue) -> Event:
    """The draft a client asked for."""
    return Event.model_validate(
        {
            "event_id": event_id,
            "organiser_id": organiser.organiser_id,
            "organiser_name": organiser.name,
            **given.details(venue),
        }
    )


def _planned(given: NewPool, pool_id: PoolId) -> PlannedPool:
    return PlannedPool(pool_id=pool_id, name=given.name, capacity=given.capacity, expected_demand=given.expected_demand)


def _ticket_type(given: NewTicketType, pool_id: PoolId) -> TicketType:
    return TicketType(
        ticket_type_id=TicketTypeId(random_id("tty")),
        name=given.name,
        price=Money(amount_minor=given.price.amount_minor, currency=given.price.currency),
        pool_id=pool_id,
        on_sale_from=given.on_sale_from,
        on_sale_until=given.on_sale_until,
        maximum_per_order=given.maximum_per_order,
    )
