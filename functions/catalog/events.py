"""Events, what is sold for them, and when it may be sold. Pure."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum, unique
from typing import Self

from pydantic import ConfigDict

from functions.inventory.pools import Pool
from shared.kernel.clock import Moment, stamp
from shared.kernel.errors import DomainError, Kind
from shared.kernel.ids import EventId, OrganiserId, PoolId, TicketTypeId, VenueId
from shared.kernel.model import Model
from shared.kernel.money import Money


class EventStateRefused(DomainError):
    """The event is not in a state that allows this; `state` says which it is in."""

    kind = Kind.CONFLICT


class EventOver(DomainError):
    """The event lies in the past."""

    kind = Kind.CONFLICT


class NotOnSale(DomainError):
    """The ticket type cannot be bought now: before or after its sale window, or the event is not published."""

    kind = Kind.CONFLICT


class TicketTypeUnknown(DomainError):
    """The event has no such ticket type."""

    kind = Kind.NOT_FOUND


class TooManyOfType(DomainError):
    """More than the ticket type's maximum per order."""

    kind = Kind.MALFORMED


@unique
class EventState(StrEnum):
    """draft → published → cancelled; nothing comes back."""

    DRAFT = "draft"
    PUBLISHED = "published"
    CANCELLED = "cancelled"


class Venue(Model):
    """Where an event takes place."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    organiser_id: OrganiserId
    venue_id: VenueId
    name: str
    address: str
    city: str
    country: str
    timezone: str


class TicketType(Model):
    """What can be bought: a price for a place of a pool."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    ticket_type_id: TicketTypeId
    name: str
    price: Money
    pool_id: PoolId
    on_sale_from: Moment | None = None
    on_sale_until: Moment | None = None
    maximum_per_order: int

    def refuse_if_not_on_sale(self, now: datetime) -> None:
        """Nothing, within the sale window.

        :raises NotOnSale: before or after it
        """
        if self.on_sale_from is not None and now < self.on_sale_from:
            raise NotOnSale(f"“{self.name}” goes on sale at {stamp(self.on_sale_from)}.", ticket_type=self.name)
        if self.on_sale_until is not None and now >= self.on_sale_until:
            raise NotOnSale(f"The sale of “{self.name}” ended.", ticket_type=self.name)


class PlannedPool(Model):
    """A pool of places as the event's creator planned it; opened in the inventory at publication.

    :param shards: 0 until published, fixed from then on
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    pool_id: PoolId
    name: str
    capacity: int
    expected_demand: int = 1
    shards: int = 0


class Event(Model):
    """An event as stored.

    :param version: grows with every change; read models keep the newest
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    event_id: EventId
    organiser_id: OrganiserId
    organiser_name: str
    venue: Venue
    name: str
    description: str
    category: str
    image_url: str = ""
    starts_at: Moment
    ends_at: Moment
    state: EventState = EventState.DRAFT
    pools: tuple[PlannedPool, ...]
    ticket_types: tuple[TicketType, ...]
    version: int = 1

    def published(self, shards: Sequence[int]) -> Self:
        """The event, on sale, with its pools' shards fixed.

        :raises EventStateRefused: it is not a draft
        """
        self._refuse_unless(EventState.DRAFT, "published")
        pools = tuple(pool.model_copy(update={"shards": n}) for pool, n in zip(self.pools, shards, strict=True))
        return self._changed(state=EventState.PUBLISHED, pools=pools)

    def cancelled(self) -> Self:
        """The event, called off.

        :raises EventStateRefused: it is not published
        """
        self._refuse_unless(EventState.PUBLISHED, "cancelled")
        return self._changed(state=EventState.CANCELLED)

    def changed(self, **details: object) -> Self:
        """The event with other details.

        :raises EventStateRefused: it is no longer a draft: what people bought must not change under them
        """
        self._refuse_unless(EventState.DRAFT, "changed")
        return self._changed(**details)

    def refuse_if_cancelled(self) -> None:
        """Nothing, unless the event was called off.

        :raises NotOnSale: it was
        """
        if self.state is EventState.CANCELLED:
            raise NotOnSale("This event was cancelled.", state=self.state.value)

    def ticket_type(self, ticket_type_id: TicketTypeId) -> TicketType:
        """The ticket type.

        :raises TicketTypeUnknown: the event has none such
        """
        for ticket_type in self.ticket_types:
            if ticket_type.ticket_type_id == ticket_type_id:
                return ticket_type
        raise TicketTypeUnknown(f"The event has no ticket type “{ticket_type_id}”.", ticket_type_id=ticket_type_id)

    def sold_at(self, ticket_type_id: TicketTypeId, quantity: int, now: datetime) -> TicketType:
        """The ticket type, if `quantity` of it may be bought now in one order.

        :raises NotOnSale: the event is not published, or outside the sale window, or over
        :raises TicketTypeUnknown: no such type
        :raises TooManyOfType: more than one order may have
        """
        if self.state is not EventState.PUBLISHED or now >= self.ends_at:
            raise NotOnSale("This event is not on sale.", state=self.state.value)
        ticket_type = self.ticket_type(ticket_type_id)
        ticket_type.refuse_if_not_on_sale(now)
        if quantity > ticket_type.maximum_per_order:
            raise TooManyOfType(
                f"At most {ticket_type.maximum_per_order} of “{ticket_type.name}” an order.",
                field="quantity",
                allowed=f"1–{ticket_type.maximum_per_order}",
            )
        return ticket_type

    def pool(self, pool_id: PoolId) -> Pool:
        """Where the inventory keeps a pool of this event."""
        planned = next(pool for pool in self.pools if pool.pool_id == pool_id)
        return Pool(organiser_id=self.organiser_id, event_id=self.event_id, pool_id=pool_id, shards=planned.shards)

    def _refuse_unless(self, state: EventState, what: str) -> None:
        if self.state is not state:
            raise EventStateRefused(
                f"An event that is {self.state} cannot be {what}.", state=self.state.value, allowed=state.value
            )

    def _changed(self, **details: object) -> Self:
        return self.model_copy(update={**details, "version": self.version + 1})
