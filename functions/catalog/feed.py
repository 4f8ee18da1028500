"""Catalog's change feed: events that changed are listed anew."""

import azure.functions as func

from functions.catalog.browsing import Browsing
from functions.catalog.events import Event
from functions.catalog.repository import EVENTS
from shared.kernel.clock import utc_now
from shared.web.triggers import change_feed, parsed


def feed(browsing: Browsing) -> func.Blueprint:
    """The catalog's change-feed trigger."""

    async def relist_events(documents: func.DocumentList) -> None:
        await browsing.relist(parsed(documents, kind="event", model=Event), now=utc_now())

    return change_feed(relist_events, container=EVENTS, lease="listings")
