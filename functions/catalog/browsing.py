"""Browsing: lists of events, what they are counted by, and one event with what is left."""

from dataclasses import dataclass

from functions.catalog.events import Event, EventState
from functions.catalog.filtering import GROUPED_BY, Facet, Facets, Filters, Sort, facet_values
from functions.catalog.listing import PUBLIC_LIST, organiser_list
from functions.catalog.repository import CatalogRepository
from functions.inventory.holds import Holds
from functions.inventory.pools import Availability
from shared.auth.permissions import Caller, Permission, may
from shared.kernel.errors import NotFound
from shared.kernel.ids import EventId, OrganiserId, PoolId
from shared.store.port import Page


@dataclass(frozen=True, slots=True)
class EventOnShow:
    """An event and what is left of each of its pools; empty while it is a draft."""

    event: Event
    left: dict[PoolId, Availability]


EVERY_EVENT = Filters()


class Browsing:
    """What people look at before they buy."""

    def __init__(self, repository: CatalogRepository, holds: Holds) -> None:
        self._repository = repository
        self._holds = holds

    async def public_list(
        self, *, limit: int, continuation: str | None, filters: Filters = EVERY_EVENT, sort: Sort = Sort.DATE
    ) -> Page:
        """A page of the events on sale; events that are over have left the list.

        :raises ContinuationRefused: the token is not one of ours for this list, these filters and this order
        """
        return await self._repository.listed(
            PUBLIC_LIST, filters.where(), order=sort.order(), limit=limit, continuation=continuation
        )

    async def facets(self, filters: Filters) -> Facets:
        """How many events on sale are wanted, and how many of each value there would be without its own filter."""
        wanted = await self._repository.counted(PUBLIC_LIST, filters.where(), by=("state",))
        values = {}
        for facet in Facet:
            counts = await self._repository.counted(PUBLIC_LIST, filters.where(but=facet), by=GROUPED_BY[facet])
            values[facet] = facet_values(facet, counts)
        return Facets(sum(count.number for count in wanted), values)

    async def organiser_list(self, organiser_id: OrganiserId, *, limit: int, continuation: str | None) -> Page:
        """A page of all events of an organiser, drafts included."""
        return await self._repository.listed(
            organiser_list(organiser_id), (), order=Sort.DATE.order(), limit=limit, continuation=continuation
        )

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
