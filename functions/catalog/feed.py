"""Catalog's change feed: events that changed are listed anew."""

import azure.functions as func

from functions.catalog.browsing import Browsing
from functions.catalog.events import Event
from functions.catalog.repository import EVENTS
from shared.kernel.clock import utc_now
from shared.web.triggers import change_feed


def feed(browsing: Browsing) -> func.Blueprint:
    """The catalog's change-feed trigger."""

    async def relist_events(documents: func.DocumentList) -> None:
        events = [Event.model_validate(dict(d)) for d in documents if d.get("kind") == "event"]
        await browsing.relist(events, now=utc_now())

    return change_feed(relist_events, container=EVENTS, lease="listings")
