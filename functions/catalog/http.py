"""Catalog over HTTP: parse, one use case, shape the reply."""

import hashlib
from typing import Final

from async_lru import alru_cache
from pydantic import BaseModel

from functions.catalog.browsing import Browsing, EventOnShow
from functions.catalog.events import Event, EventOver, EventStateRefused, Venue
from functions.catalog.list_wire import EventPage, FacetsView, FilterQuery, ListingView, ListQuery
from functions.catalog.managing import Managing
from functions.catalog.repository import Organiser
from functions.catalog.wire import (
    EventDetails,
    EventView,
    NewEvent,
    NewOrganiser,
    NewVenue,
    OrganiserView,
    VenuePage,
    VenueView,
    new_event,
)
from shared.auth.permissions import Permission
from shared.kernel.errors import Contended, KeyReused, Malformed, NotFound
from shared.kernel.ids import EventId, OrganiserId, VenueId, derived_id, random_id
from shared.store.port import Page
from shared.web.borders import THING
from shared.web.endpoint import Admits, Call, Endpoints, Nothing, Raw, Wire
from shared.web.paging import PageQuery

# Everybody sees the same list, and at an on-sale all at once: it is read once a second for all who ask in that second.
KEPT_SECONDS: Final = 1.0
KEPT_ANSWERS_MAX: Final = 512


def endpoints(browsing: Browsing, managing: Managing, gate: Admits) -> Endpoints:
    """The catalog's endpoints."""
    http = Endpoints("catalog", gate)
    _browse(http, browsing)
    _manage_places(http, managing)
    _own_events(http, browsing)
    _draft_events(http, managing)
    _decide_events(http, browsing, managing)
    return http


def _browse(http: Endpoints, browsing: Browsing) -> None:
    @alru_cache(maxsize=KEPT_ANSWERS_MAX, ttl=KEPT_SECONDS)
    async def page_of(query: ListQuery) -> Raw:
        page = await browsing.public_list(
            filters=query.filters(), sort=query.sort, limit=query.limit, continuation=query.continuation
        )
        return _kept(EventPage(items=_views(page), continuation=page.continuation))

    @alru_cache(maxsize=KEPT_ANSWERS_MAX, ttl=KEPT_SECONDS)
    async def facets_of(query: FilterQuery) -> Raw:
        return _kept(FacetsView.of(await browsing.facets(query.filters())))

    @http("GET", "events", needs=Permission.BROWSE, takes=ListQuery, returns=EventPage, refuses=[Malformed])
    async def list_events(call: Call, query: ListQuery) -> Raw:
        """List the events on sale.

        Filtered, in the order of `sort`, page by page: send `continuation` back with the same filters to go on. Events
        that are over leave the list. An answer may be a second old.
        """
        return await page_of(query)

    @http("GET", "events/facets", needs=Permission.BROWSE, takes=FilterQuery, returns=FacetsView)
    async def count_events(call: Call, query: FilterQuery) -> Raw:
        """Count the events on sale by city, category, month and currency.

        With the filters of the list. Each count leaves out the filter on its own thing, so that it says what choosing
        another value would give. At most 50 values of each.
        """
        return await facets_of(query)

    @http("GET", "events/{event_id}", needs=Permission.BROWSE, returns=EventView, refuses=[NotFound])
    async def show_event(call: Call, nothing: Nothing) -> EventView:
        """Show an event and what is left of it."""
        return EventView.of(await browsing.show(EventId(call.id("event_id")), caller=call.caller))


def _manage_places(http: Endpoints, managing: Managing) -> None:
    @http(
        "POST", "organisers", needs=Permission.CREATE_ORGANISER, takes=NewOrganiser, returns=OrganiserView, status=201,
        refuses=[KeyReused, Contended], headers=["Idempotency-Key"], audited=True,
    )  # fmt: skip
    async def create_organiser(call: Call, body: NewOrganiser) -> OrganiserView:
        """Create an organiser, owned by you."""
        organiser = Organiser(
            organiser_id=OrganiserId(_new_id(call, "org")), name=body.name, created_by=call.caller.person_id
        )
        call.noted["organiser_id"] = organiser.organiser_id
        return OrganiserView.of(await managing.create_organiser(organiser, request=_hash(body), now=call.now))

    @http(
        "POST", "organisers/{organiser_id}/venues", needs=Permission.MANAGE_EVENTS, takes=NewVenue, returns=VenueView,
        status=201, refuses=[NotFound, KeyReused], headers=["Idempotency-Key"], within="organiser_id", audited=True,
    )  # fmt: skip
    async def create_venue(call: Call, body: NewVenue) -> VenueView:
        """Create a venue of an organiser."""
        venue_id = VenueId(_new_id(call, "ven"))
        venue = Venue(organiser_id=OrganiserId(call.id("organiser_id")), venue_id=venue_id, **body.model_dump())
        call.noted["venue_id"] = venue_id
        return VenueView.of(await managing.create_venue(venue, request=_hash(body)))

    @http(
        "GET", "organisers/{organiser_id}/venues", needs=Permission.MANAGE_EVENTS, takes=PageQuery, returns=VenuePage,
        refuses=[NotFound, Malformed], within="organiser_id",
    )  # fmt: skip
    async def list_venues(call: Call, query: PageQuery) -> VenuePage:
        """List an organiser's venues."""
        organiser_id = OrganiserId(call.id("organiser_id"))
        page = await managing.venues(organiser_id, limit=query.limit, continuation=query.continuation)
        venues = [VenueView.of(Venue.model_validate(document.value)) for document in page.documents]
        return VenuePage(items=venues, continuation=page.continuation)


def _own_events(http: Endpoints, browsing: Browsing) -> None:
    @http(
        "GET", "organisers/{organiser_id}/events", needs=Permission.MANAGE_EVENTS, takes=PageQuery, returns=EventPage,
        refuses=[NotFound, Malformed], within="organiser_id",
    )  # fmt: skip
    async def list_own_events(call: Call, query: PageQuery) -> EventPage:
        """List all events of an organiser, drafts included."""
        organiser_id = OrganiserId(call.id("organiser_id"))
        page = await browsing.organiser_list(organiser_id, limit=query.limit, continuation=query.continuation)
        return EventPage(items=_views(page), continuation=page.continuation)


def _draft_events(http: Endpoints, managing: Managing) -> None:
    @http(
        "POST", "events", needs=Permission.MANAGE_EVENTS, takes=NewEvent, returns=EventView, status=201,
        refuses=[NotFound, KeyReused], headers=["Idempotency-Key"], within="organiser_id", audited=True,
    )  # fmt: skip
    async def create_event(call: Call, body: NewEvent) -> EventView:
        """Create an event as a draft: nobody sees it until it is published.

        An Idempotency-Key that made another event is refused, and `existing_id` says which.
        """
        organiser, venue = await managing.place_of(OrganiserId(body.organiser_id), VenueId(body.venue_id))
        draft = new_event(EventId(_new_id(call, "evt")), body, organiser, venue)
        call.noted["event_id"] = draft.event_id
        event = await managing.create_event(draft, request=_hash(body))
        return EventView.of(EventOnShow(event, {}))

    @http(
        "PUT", "events/{event_id}", needs=Permission.MANAGE_EVENTS, takes=EventDetails, returns=EventView,
        refuses=[NotFound, EventStateRefused], within=THING, audited=True,
    )  # fmt: skip
    async def change_event(call: Call, body: EventDetails) -> EventView:
        """Change a draft: what you send replaces all details."""
        event_id = EventId(call.id("event_id"))
        before = await managing.event(event_id, caller=call.caller)
        _, venue = await managing.place_of(before.organiser_id, VenueId(body.venue_id))
        details = body.details(venue)
        changed = await managing.change_event(event_id, lambda event: event.changed(**details), caller=call.caller)
        return EventView.of(EventOnShow(changed, {}))


def _decide_events(http: Endpoints, browsing: Browsing, managing: Managing) -> None:
    async def shown(event: Event, call: Call) -> EventView:
        return EventView.of(await browsing.show(event.event_id, caller=call.caller))

    @http(
        "POST", "events/{event_id}/publish", needs=Permission.MANAGE_EVENTS, returns=EventView,
        refuses=[NotFound, EventStateRefused, EventOver], within=THING, audited=True,
    )  # fmt: skip
    async def publish_event(call: Call, nothing: Nothing) -> EventView:
        """Publish a draft: it goes on sale, and its capacities are fixed. Published already, it is given as it is."""
        return await shown(await managing.publish(EventId(call.id("event_id")), caller=call.caller, now=call.now), call)

    @http(
        "POST", "events/{event_id}/cancel", needs=Permission.MANAGE_EVENTS, returns=EventView,
        refuses=[NotFound, EventStateRefused], within=THING, audited=True,
    )  # fmt: skip
    async def cancel_event(call: Call, nothing: Nothing) -> EventView:
        """Cancel a published event: no more orders are placed and no checkout is opened.

        Cancelled already, it is given as it is.
        Who is on the payment page already can still pay; refund such orders one by one.
        """
        return await shown(await managing.cancel(EventId(call.id("event_id")), caller=call.caller, now=call.now), call)


def _new_id(call: Call, prefix: str) -> str:
    """With an Idempotency-Key, the id that always follows from it; else a random one."""
    if call.raw.headers.get("idempotency-key"):
        return derived_id(prefix, call.caller.actor, call.idempotency_key)
    return random_id(prefix)


def _hash(body: Wire) -> str:
    return hashlib.sha256(body.model_dump_json().encode()).hexdigest()


def _views(page: Page) -> list[ListingView]:
    return [ListingView.of(document.value) for document in page.documents]


def _kept(answer: BaseModel) -> Raw:
    body = answer.model_dump_json(exclude_none=True).encode()
    return Raw(body, "application/json", {"cache-control": f"private, max-age={KEPT_SECONDS:.0f}"})
