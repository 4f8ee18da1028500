"""Admission's change feed: tickets that changed are copied to their owners' wallets."""

import azure.functions as func

from functions.admission.door import Door
from functions.admission.repository import ORDERS, TICKET_KIND
from functions.admission.tickets import Ticket
from shared.web.triggers import change_feed


def feed(door: Door) -> func.Blueprint:
    """The admission's change-feed trigger."""

    async def fill_wallets(documents: func.DocumentList) -> None:
        tickets = [Ticket.model_validate(dict(d)) for d in documents if d.get("kind") == TICKET_KIND]
        await door.fill_wallets(tickets)

    return change_feed(fill_wallets, container=ORDERS, lease="wallets")
