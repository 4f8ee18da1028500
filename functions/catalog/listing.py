"""Lists of events: one small document an event, each list in one partition, fed by the change feed. Pure."""

from typing import Final, Self
from zoneinfo import ZoneInfo

from pydantic import ConfigDict

from functions.catalog.events import Event, EventState
from shared.kernel.clock import Moment
from shared.kernel.ids import EventId, OrganiserId
from shared.kernel.model import Model
from shared.kernel.money import Money
from shared.kernel.text import folded, words

PUBLIC_LIST: Final = "public"
# Grows when listings get new fields or text is folded otherwise; the feed's lease too, so that all are written anew.
SCHEMA: Final = 3
SEARCH_CHARACTERS_MAX: Final = 4_000
NAME_KEY_CHARACTERS_MAX: Final = 200  # it is carried in continuation tokens


def organiser_list(organiser_id: OrganiserId) -> str:
    """The list of all events of an organiser, drafts included."""
    return f"organiser:{organiser_id}"


class Listing(Model):
    """What a list shows of an event, and what it is found and sorted by.

    :param price_from: the cheapest ticket type's price
    :param sold_out: no place is left in any pool that tickets are sold from
    :param price_minor: `price_from` without its currency, to sort by
    :param month: in which it begins at its venue, e.g. `2026-05`
    :param search: every word of it once, folded; the description's as far as there is room
    :param version: the event's
    :param schema_version: which of these fields a listing has
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
    sold_out: bool
    price_minor: int
    currency: str
    month: str
    name_key: str
    city_key: str
    category_key: str
    search: str
    version: int
    schema_version: int = SCHEMA

    @classmethod
    def of(cls, event: Event, *, sold_out: bool) -> Self:
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
            sold_out=sold_out,
            price_minor=cheapest.price.amount_minor,
            currency=cheapest.price.currency,
            month=event.starts_at.astimezone(ZoneInfo(event.venue.timezone)).strftime("%Y-%m"),
            name_key=folded(event.name)[:NAME_KEY_CHARACTERS_MAX],
            city_key=folded(event.venue.city),
            category_key=folded(event.category),
            search=_search(event),
            version=event.version,
        )


def _search(event: Event) -> str:
    """What `q` looks into: each word once, names before the description, in at most `SEARCH_CHARACTERS_MAX`."""
    text = " ".join(
        (event.name, event.venue.name, event.venue.city, event.organiser_name, event.category, event.description)
    )
    kept, length = [], 0
    for word in dict.fromkeys(words(text)):
        length += len(word) + 1
        if length > SEARCH_CHARACTERS_MAX:
            break
        kept.append(word)
    return " ".join(kept)
