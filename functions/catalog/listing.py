"""Lists of events: one small document an event, each list in one partition, fed by the change feed. Pure."""

from typing import Final, Self

from pydantic import BaseModel, ConfigDict

from functions.catalog.events import Event, EventState
from shared.kernel.clock import Moment
from shared.kernel.ids import EventId, OrganiserId
from shared.kernel.money import Money

PUBLIC_LIST: Final = "public"


def organiser_list(organiser_id: OrganiserId) -> str:
    """The list of all events of an organiser, drafts included."""
    return f"organiser:{organiser_id}"


class Listing(BaseModel):
    """What a list shows of an event.

    :param price_from: the cheapest ticket type's price
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
    starts_at: Moment
    ends_at: Moment
    price_from: Money
    state: EventState
    version: int

    @classmethod
    def of(cls, event: Event) -> Self:
        """The listing of an event."""
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
            state=event.state,
            version=event.version,
        )
