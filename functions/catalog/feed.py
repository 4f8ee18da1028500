"""Catalog's change feeds: events that changed are listed anew, and lists learn what is sold out."""

from collections.abc import Sequence
from typing import Final

import azure.functions as func

from functions.catalog.events import Event
from functions.catalog.listing import SCHEMA
from functions.catalog.relisting import Relisting
from functions.catalog.repository import EVENTS
from functions.inventory.pools import Shard
from functions.inventory.repository import CONTAINER as INVENTORY
from shared.kernel.clock import utc_now
from shared.web.triggers import change_feed, parsed

# Every hold changes its shard: looking only now and then, a hundred of them are seen as one. This is also how late the
# lists may be.
STOCK_POLL_SECONDS: Final = 2.0


def feeds(relisting: Relisting) -> Sequence[func.Blueprint]:
    """The catalog's change-feed triggers."""

    async def relist_events(documents: func.DocumentList) -> None:
        await relisting.relist(parsed(documents, kind="event", model=Event), now=utc_now())

    async def follow_stock(documents: func.DocumentList) -> None:
        await relisting.follow_stock(parsed(documents, kind="shard", model=Shard), now=utc_now())

    return [
        change_feed(relist_events, container=EVENTS, lease=f"listings-{SCHEMA}"),
        change_feed(follow_stock, container=INVENTORY, lease="sold-out", poll_seconds=STOCK_POLL_SECONDS),
    ]
