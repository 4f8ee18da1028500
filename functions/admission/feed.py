"""Admission's change feed: tickets that changed are copied to their owners' wallets."""

import azure.functions as func

from functions.admission.door import Door
from functions.admission.repository import ORDERS, TICKET_KIND
from functions.admission.tickets import Ticket
from shared.web.triggers import change_feed, parsed


def feed(door: Door) -> func.Blueprint:
    """The admission's change-feed trigger."""

    async def fill_wallets(documents: func.DocumentList) -> None:
        await door.fill_wallets(parsed(documents, kind=TICKET_KIND, model=Ticket))

    return change_feed(fill_wallets, container=ORDERS, lease="wallets")
