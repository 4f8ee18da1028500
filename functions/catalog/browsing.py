"""Browsing: lists of events, one event with what is left, and keeping the lists up to date."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from functions.catalog.events import Event, EventState
from functions.catalog.listing import PUBLIC_LIST, Listing, organiser_list
from functions.catalog.repository import CatalogRepository
from functions.inventory.holds import Holds
from functions.inventory.pools import Availability
from shared.auth.permissions import Caller, Permission, may, require
from shared.kernel.errors import NotFound
from shared.kernel.ids import EventId, OrganiserId, PoolId
from shared.store.port import Page, Where

TTL_SECONDS_MAX: Final = 2**31 - 1  # Cosmos keeps lifetimes in 32 bits


@dataclass(frozen=True, slots=True)
class EventOnShow:
    """An event and what is left of each of its pools; empty while it is a draft."""

    event: Event
    left: dict[PoolId, Availability]


class Browsing:
    """What people look at before they buy."""

    def __init__(self, repository: CatalogRepository, holds: Holds) -> None:
        self._repository = repository
        self._holds = holds

    async def public_list(self, *, limit: int, continuation: str | None) -> Page:
        """A page of the events on sale, by date; events that are over have left the list.

        :raises ContinuationRefused: the token is not one of ours for this list
        """
        published = [Where("state", "=", EventState.PUBLISHED.value)]
        return await self._repository.listed(PUBLIC_LIST, published, limit=limit, continuation=continuation)

    async def organiser_list(
        self, organiser_id: OrganiserId, *, caller: Caller, limit: int, continuation: str | None
    ) -> Page:
        """A page of all events of an organiser, drafts included.

        :raises NotFound: the caller does not belong to it
        """
        require(caller, Permission.MANAGE_EVENTS, organiser_id, what=f"organiser {organiser_id}")
        return await self._repository.listed(organiser_list(organiser_id), (), limit=limit, continuation=continuation)

    async def show(self, event_id: EventId, *, caller: Caller) -> EventOnShow:
        """One event with what is left of it.

        :raises NotFound: there is none, or it is a draft of somebody else's
        """
        event = (await self._repository.event(event_id)).event
        if event.state is EventState.DRAFT:
            if not may(caller, Permission.MANAGE_EVENTS, event.organiser_id):
                raise NotFound(f"There is no event {event_id}.")
            return EventOnShow(event, {})
        left = {pool.pool_id: await self._holds.availability(event.pool(pool.pool_id)) for pool in event.pools}
        return EventOnShow(event, left)

    async def relist(self, events: Sequence[Event], *, now: datetime) -> None:
        """Bring the lists up to date with changed events."""
        for event in events:
            listing = Listing.of(event)
            await self._repository.list_in(organiser_list(event.organiser_id), listing)
            seconds_left = int((event.ends_at - now).total_seconds())
            if event.state is not EventState.DRAFT and seconds_left > 0:
                await self._repository.list_in(PUBLIC_LIST, listing, ttl_seconds=min(seconds_left, TTL_SECONDS_MAX))
