"""Managing: organisers, venues and events from draft to publication and cancellation."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from functions.catalog.events import Event, EventOver, EventState, Venue
from functions.catalog.repository import CatalogRepository, Organiser, StoredEvent
from functions.inventory.holds import Holds
from functions.inventory.pools import shards_for
from shared.auth.permissions import Caller, Permission, require
from shared.events.catalog import EventCancelled, EventPublished
from shared.kernel.clock import stamp
from shared.kernel.ids import EventId, OrganiserId, PersonId, VenueId
from shared.retry import TRANSIENT, retry
from shared.store.port import Page, StaleWrite

type GrantOwnership = Callable[[PersonId, OrganiserId, str, datetime], Awaitable[None]]


class Managing:
    """What organisers do with their things.

    :param grant_ownership: makes a person the owner of a new organiser (identity does it; catalog must not know how)
    """

    def __init__(self, repository: CatalogRepository, holds: Holds, grant_ownership: GrantOwnership) -> None:
        self._repository = repository
        self._holds = holds
        self._grant_ownership = grant_ownership

    async def create_organiser(self, organiser: Organiser, *, request: str = "", now: datetime) -> Organiser:
        """A new organiser, owned by its creator; the same request again gives what is there.

        Ownership comes first: an owner of nothing is harmless, an organiser nobody owns is lost. Of one that is there
        it is not given again: who was removed from it since must not come back by repeating an old request.

        :param request: a hash of what was asked
        :raises KeyReused: the id came from a key that was used for another request
        """
        if not await self._repository.has_organiser(organiser.organiser_id):
            await self._grant_ownership(organiser.created_by, organiser.organiser_id, organiser.name, now)
        if await self._repository.add_organiser(organiser, request=request):
            return organiser
        return await self._repository.organiser(organiser.organiser_id)

    async def create_venue(self, venue: Venue, *, request: str = "") -> Venue:
        """A new venue of an organiser; the same request again gives what is there.

        :param request: a hash of what was asked
        :raises KeyReused: the id came from a key that was used for another request
        :raises NotFound: no such organiser
        """
        await self._repository.organiser(venue.organiser_id)
        if await self._repository.add_venue(venue, request=request):
            return venue
        return await self._repository.venue(venue.organiser_id, venue.venue_id)

    async def venues(self, organiser_id: OrganiserId, *, limit: int, continuation: str | None) -> Page:
        """A page of an organiser's venues.

        :raises NotFound: no such organiser
        """
        await self._repository.organiser(organiser_id)
        return await self._repository.venues(organiser_id, limit=limit, continuation=continuation)

    async def place_of(self, organiser_id: OrganiserId, venue_id: VenueId) -> tuple[Organiser, Venue]:
        """The organiser and the venue a new event names.

        :raises NotFound: one of them does not exist
        """
        organiser = await self._repository.organiser(organiser_id)
        return organiser, await self._repository.venue(organiser_id, venue_id)

    async def create_event(self, event: Event, *, request: str = "") -> Event:
        """A new draft; the same request again gives what is there.

        :param request: a hash of what was asked
        :raises KeyReused: the id came from a key that was used for another request
        """
        if await self._repository.add_event(event, request=request):
            return event
        return (await self._repository.event(event.event_id)).event

    async def event(self, event_id: EventId, *, caller: Caller) -> Event:
        """One of the caller's events, as its organiser sees it.

        :raises NotFound: no such event, or not the caller's
        """
        return (await self._own_event(event_id, caller)).event

    async def change_event(self, event_id: EventId, change: Callable[[Event], Event], *, caller: Caller) -> Event:
        """An event changed by `change`, decided again if somebody else was faster.

        :raises NotFound: no such event, or not the caller's
        :raises EventStateRefused: the event's state does not allow the change
        :raises Contended: too many changes at once
        """

        async def attempt() -> Event:
            read = await self._own_event(event_id, caller)
            changed = change(read.event)
            await self._repository.save_event(read, changed)
            return changed

        return await retry(attempt, on=(StaleWrite, *TRANSIENT))

    async def publish(self, event_id: EventId, *, caller: Caller, now: datetime) -> Event:
        """The event on sale: its pools are opened first, so that nobody can see it without its stock.

        Asked again, as after an answer that was lost, it gives the event as it is.

        :raises NotFound: no such event, or not the caller's
        :raises EventStateRefused: it is not a draft
        :raises EventOver: it lies in the past
        """

        async def attempt() -> Event:
            read = await self._own_event(event_id, caller)
            if read.event.state is EventState.PUBLISHED:
                return read.event
            if read.event.ends_at <= now:
                raise EventOver(f"The event ended at {stamp(read.event.ends_at)}; nobody could buy it.")
            shards = [shards_for(pool.expected_demand, pool.capacity) for pool in read.event.pools]
            published = read.event.published(shards)
            for pool in published.pools:
                await self._holds.open(published.pool(pool.pool_id), pool.capacity)
            told = EventPublished(
                id=f"{event_id}.published", occurred_at=now, organiser_id=published.organiser_id, event_id=event_id
            )
            await self._repository.save_event(read, published, publish=[told])
            return published

        return await retry(attempt, on=(StaleWrite, *TRANSIENT))

    async def cancel(self, event_id: EventId, *, caller: Caller, now: datetime) -> Event:
        """The event called off: nothing more is sold. Asked again it gives the event as it is.

        :raises NotFound: no such event, or not the caller's
        :raises EventStateRefused: it is not published
        """

        async def attempt() -> Event:
            read = await self._own_event(event_id, caller)
            if read.event.state is EventState.CANCELLED:
                return read.event
            cancelled = read.event.cancelled()
            told = EventCancelled(
                id=f"{event_id}.cancelled", occurred_at=now, organiser_id=cancelled.organiser_id, event_id=event_id
            )
            await self._repository.save_event(read, cancelled, publish=[told])
            return cancelled

        return await retry(attempt, on=(StaleWrite, *TRANSIENT))

    async def _own_event(self, event_id: EventId, caller: Caller) -> StoredEvent:
        read = await self._repository.event(event_id)
        require(caller, Permission.MANAGE_EVENTS, read.event.organiser_id, what=f"event {event_id}")
        return read
