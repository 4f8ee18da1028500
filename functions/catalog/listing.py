"""The public list: one small document an event, in one partition, fed by the change feed. Pure."""

from datetime import datetime
from typing import Final, Self

from pydantic import BaseModel, ConfigDict

from functions.catalog.events import Event, EventState
from shared.kernel.ids import EventId, OrganiserId
from shared.kernel.money import Money

LISTED_PUBLICLY: Final = "public"


class Listing(BaseModel):
    """What the list shows of an event.

    :param price_from: the cheapest ticket type's price
    :param listed: false once the event is cancelled
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    event_id: EventId
    organiser_id: OrganiserId
    name: str
    category: str
    image_url: str
    venue: str
    city: str
    timezone: str
    starts_at: datetime
    ends_at: datetime
    price_from: Money
    listed: bool
    version: int

    @classmethod
    def of(cls, event: Event) -> Self:
        """The listing of a published or cancelled event."""
        cheapest = min(event.ticket_types, key=lambda ticket_type: ticket_type.price.amount_minor)
        return cls(
            event_id=event.event_id,
            organiser_id=event.organiser_id,
            name=event.name,
            category=event.category,
            image_url=event.image_url,
            venue=event.venue.name,
            city=event.venue.city,
            timezone=event.venue.timezone,
            starts_at=event.starts_at,
            ends_at=event.ends_at,
            price_from=cheapest.price,
            listed=event.state is EventState.PUBLISHED,
            version=event.version,
        )
