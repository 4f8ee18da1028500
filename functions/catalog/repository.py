"""Organisers, venues, events and the public list as documents: the only file that knows their ids and partitions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from functions.catalog.events import Event, Venue
from functions.catalog.listing import Listing
from shared.events.envelope import Event as PublishedEvent
from shared.events.envelope import outbox
from shared.kernel.errors import KeyReused
from shared.kernel.errors import NotFound as NothingThere
from shared.kernel.ids import EventId, OrganiserId, PersonId, VenueId
from shared.kernel.model import Model
from shared.readmodel import keep_newest
from shared.store.port import AlreadyExists, Count, Create, NotFound, OrderBy, Page, Replace, Store, Value, Where, Write

ORGANISERS = "organisers"
EVENTS = "events"
LISTINGS = "listings"


class Organiser(Model):
    """Who runs events."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    organiser_id: OrganiserId
    name: str
    created_by: PersonId


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event and the etag it was read at."""

    event: Event
    etag: str


@dataclass(frozen=True, slots=True)
class StoredListing:
    """A listing as it lies there, of whatever schema, and the etag it was read at."""

    value: Value
    etag: str

    @property
    def sold_out(self) -> bool | None:
        """Whether it says so; None in a listing from before it could."""
        return self.value.get("sold_out")


class CatalogRepository:
    """Reads and writes the containers `organisers`, `events` and `listings`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add_organiser(self, organiser: Organiser, *, request: str = "") -> bool:
        """Write a new organiser; False when the same request wrote it before.

        :param request: a hash of what was asked
        :raises KeyReused: another request wrote it
        """
        return await self._create(ORGANISERS, organiser.organiser_id, "organiser", "organiser", organiser, request)

    async def has_organiser(self, organiser_id: OrganiserId) -> bool:
        """Whether there is such an organiser."""
        try:
            await self._store.read(ORGANISERS, organiser_id, "organiser")
        except NotFound:
            return False
        return True

    async def organiser(self, organiser_id: OrganiserId) -> Organiser:
        """:raises NotFound: there is none such"""
        value = await self._read(ORGANISERS, organiser_id, "organiser", f"organiser {organiser_id}")
        return Organiser.model_validate(value)

    async def add_venue(self, venue: Venue, *, request: str = "") -> bool:
        """Write a new venue; False when the same request wrote it before.

        :param request: a hash of what was asked
        :raises KeyReused: another request wrote it
        """
        return await self._create(ORGANISERS, venue.organiser_id, f"venue:{venue.venue_id}", "venue", venue, request)

    async def venue(self, organiser_id: OrganiserId, venue_id: VenueId) -> Venue:
        """:raises NotFound: the organiser has none such"""
        value = await self._read(ORGANISERS, organiser_id, f"venue:{venue_id}", f"venue {venue_id}")
        return Venue.model_validate(value)

    async def venues(self, organiser_id: OrganiserId, *, limit: int, continuation: str | None) -> Page:
        """A page of an organiser's venues."""
        where = [Where("kind", "=", "venue")]
        return await self._store.query(ORGANISERS, organiser_id, where=where, limit=limit, continuation=continuation)

    async def add_event(self, event: Event, *, request: str = "") -> bool:
        """Write a new event; False when the same request wrote it before.

        :param request: a hash of what was asked
        :raises KeyReused: another request wrote it
        """
        return await self._create(EVENTS, event.event_id, "event", "event", event, request)

    async def event(self, event_id: EventId) -> StoredEvent:
        """:raises NotFound: there is none such"""
        try:
            document = await self._store.read(EVENTS, event_id, "event")
        except NotFound as missing:
            raise NothingThere(f"There is no event {event_id}.") from missing
        return StoredEvent(Event.model_validate(document.value), document.etag)

    async def save_event(self, read: StoredEvent, changed: Event, *, publish: Sequence[PublishedEvent] = ()) -> None:
        """Write a changed event and what it publishes.

        :raises StaleWrite: somebody else changed it since it was read
        """
        writes: list[Write] = [
            Replace("event", _stored("event", changed), read.etag),
            *(outbox(event) for event in publish),
        ]
        await self._store.commit(EVENTS, changed.event_id, writes)

    async def list_in(self, list_id: str, listing: Listing, *, ttl_seconds: int | None = None) -> None:
        """Bring a list up to date; a late change never overwrites a newer one."""
        value = _stored("listing", listing)
        await keep_newest(self._store, LISTINGS, list_id, listing.event_id, value, ttl_seconds=ttl_seconds)

    async def listed(
        self, list_id: str, where: Sequence[Where], *, order: OrderBy, limit: int, continuation: str | None
    ) -> Page:
        """A page of a list."""
        return await self._store.query(
            LISTINGS, list_id, where=where, order_by=order, limit=limit, continuation=continuation
        )

    async def counted(self, list_id: str, where: Sequence[Where], *, by: Sequence[str]) -> Sequence[Count]:
        """How many of a list have the same values."""
        return await self._store.counts_by(LISTINGS, list_id, by=by, where=where)

    async def stored_listing(self, list_id: str, event_id: EventId) -> StoredListing | None:
        """What a list has of an event; None when it is not in the list."""
        try:
            document = await self._store.read(LISTINGS, list_id, event_id)
        except NotFound:
            return None
        return StoredListing(document.value, document.etag)

    async def mark_sold_out(
        self, list_id: str, read: StoredListing, *, sold_out: bool, ttl_seconds: int | None
    ) -> None:
        """Say in a listing whether its event is sold out.

        :param ttl_seconds: of the listing from now on, which a patch could not set
        :raises StaleWrite: somebody else changed it since it was read
        :raises NotFound: it has left the list since
        """
        value = {**read.value, "sold_out": sold_out}
        await self._store.commit(LISTINGS, list_id, [Replace(value["event_id"], value, read.etag, ttl_seconds)])

    async def _create(
        self, container: str, partition: str, id_: str, kind: str, model: BaseModel, request: str
    ) -> bool:
        asked = Create(f"request:{id_}", {"kind": "request", "body_hash": request})
        try:
            await self._store.commit(container, partition, [Create(id_, _stored(kind, model)), asked])
        except AlreadyExists:
            before = await self._store.read(container, partition, asked.id)
            if before.value["body_hash"] != request:
                raise KeyReused(
                    f"This Idempotency-Key was used for another {kind}; make up a new one.",
                    field="Idempotency-Key",
                    existing_id=before.partition if id_ == kind else id_.removeprefix(f"{kind}:"),
                ) from None
            return False
        return True

    async def _read(self, container: str, partition: str, id_: str, what: str) -> Any:
        try:
            return (await self._store.read(container, partition, id_)).value
        except NotFound as missing:
            raise NothingThere(f"There is no {what}.") from missing


def _stored(kind: str, model: BaseModel) -> dict[str, Any]:
    return {"kind": kind, **model.model_dump(mode="json")}
