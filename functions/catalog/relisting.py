"""Keeping lists up to date: with what organisers change, and with whether an event is sold out.

Whether an event is sold out is decided by looking at its stock, not by what a change said, so that changes may come
late, twice or in any order. After writing, it looks again: what was written may rest on a look that somebody's newer
one has overtaken, and whoever wrote last sees that. The listing is read before the stock and written by its etag. Each
change is compared with both lists, for one of them may be wrong alone: whoever wrote it was overtaken, or died, before
looking again.

An event whose stock or whose own document is missing must not stop the lists of everybody: it is logged, counted
(`events_not_relisted`) and left as it is listed. Transient trouble raises, and the feed brings the change again.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from functions.catalog.events import Event, EventState
from functions.catalog.listing import PUBLIC_LIST, Listing, organiser_list
from functions.catalog.repository import CatalogRepository
from functions.inventory.holds import Holds
from functions.inventory.pools import Shard
from shared.kernel.errors import Contended
from shared.kernel.errors import NotFound as NothingThere
from shared.kernel.ids import EventId
from shared.store.port import NotFound, StaleWrite
from shared.telemetry import Log, count

TTL_SECONDS_MAX: Final = 2**31 - 1  # Cosmos keeps lifetimes in 32 bits
LOOKS_MAX: Final = 10  # at the stock of one event in a row; the feed gives the change again when they do not suffice
_log = Log("catalog")


class Relisting:
    """What follows from changed events and changed stock."""

    def __init__(self, repository: CatalogRepository, holds: Holds) -> None:
        self._repository = repository
        self._holds = holds

    async def relist(self, events: Sequence[Event], *, now: datetime) -> None:
        """Bring the lists up to date with changed events.

        :raises Contended: the stock of one kept changing while we looked
        """
        for event in events:
            with _left_out(event.event_id):
                await self._relist(event, now)

    async def follow_stock(self, shards: Sequence[Shard], *, now: datetime) -> None:
        """Bring the lists up to date with changed stock.

        Costs two reads for each event in `shards` whose lists and shards agree. Where a shard is empty and the event
        not sold out, or the other way round, its event and stock are read too: each time such a shard changes, for as
        long as that lasts.

        :raises Contended: the stock of one kept changing while we looked
        """
        changed: defaultdict[EventId, list[Shard]] = defaultdict(list)
        for shard in shards:
            changed[shard.event_id].append(shard)
        for event_id, of_event in changed.items():
            with _left_out(event_id):
                if await self._differs(event_id, of_event):
                    await self._follow((await self._repository.event(event_id)).event, now)

    async def _relist(self, event: Event, now: datetime) -> None:
        listing = Listing.of(event, sold_out=await self._sold_out(event))
        await self._repository.list_in(organiser_list(event.organiser_id), listing)
        if event.state is EventState.DRAFT:
            return
        ttl_seconds = _ttl_seconds(event, now)
        if ttl_seconds > 0:
            await self._repository.list_in(PUBLIC_LIST, listing, ttl_seconds=ttl_seconds)
        await self._follow(event, now)

    async def _differs(self, event_id: EventId, shards: Sequence[Shard]) -> bool:
        """Whether a list says of the event what one of its shards does not; one that has no listing says nothing.

        The event is over then; or not listed yet, and whoever lists it looks at the stock afterwards.
        """
        for list_id in (organiser_list(shards[0].organiser_id), PUBLIC_LIST):
            listing = await self._repository.stored_listing(list_id, event_id)
            if listing is not None and any(listing.sold_out is not (shard.available == 0) for shard in shards):
                return True
        return False

    async def _follow(self, event: Event, now: datetime) -> None:
        await self._follow_in(organiser_list(event.organiser_id), event, None)
        ttl_seconds = _ttl_seconds(event, now)
        if ttl_seconds > 0:
            await self._follow_in(PUBLIC_LIST, event, ttl_seconds)

    async def _follow_in(self, list_id: str, event: Event, ttl_seconds: int | None) -> None:
        for _ in range(LOOKS_MAX):
            listing = await self._repository.stored_listing(list_id, event.event_id)
            if listing is None:
                return
            sold_out = await self._sold_out(event)
            if listing.sold_out is sold_out:
                return
            try:
                await self._repository.mark_sold_out(list_id, listing, sold_out=sold_out, ttl_seconds=ttl_seconds)
            except (StaleWrite, NotFound):
                continue  # somebody else wrote; look again
            _log.info("sold_out_changed", event_id=event.event_id, list_id=list_id, sold_out=sold_out)
        raise Contended(f"The stock of event {event.event_id} keeps changing; later.")

    async def _sold_out(self, event: Event) -> bool:
        if event.state is EventState.DRAFT:
            return False
        sold_from = {ticket_type.pool_id for ticket_type in event.ticket_types}
        return await self._holds.all_taken([event.pool(pool_id) for pool_id in sorted(sold_from)])


@contextmanager
def _left_out(event_id: EventId) -> Iterator[None]:
    try:
        yield
    except (NotFound, NothingThere) as missing:
        count("events_not_relisted")
        _log.error("event_not_relisted", error=missing, event_id=event_id)


def _ttl_seconds(event: Event, now: datetime) -> int:
    """How long the event stays in the public list; 0 or less when it is over."""
    return min(int((event.ends_at - now).total_seconds()), TTL_SECONDS_MAX)
