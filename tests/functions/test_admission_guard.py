"""What makes exactly one scan win: the ticket's etag, shown by taking it away."""

import asyncio
import contextlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from functions.admission.codes import Codes
from functions.admission.door import Door
from functions.admission.repository import StoredTicket, TicketRepository, creating
from functions.admission.tickets import CheckIn, EventFacts, Ticket, TicketAlreadyUsed, issue
from shared.auth.permissions import Caller, Membership
from shared.kernel.ids import EventId, OrderId, OrganiserId, PersonId, TicketTypeId, random_id
from shared.store.embedded import EmbeddedStore
from shared.store.port import StaleWrite
from shared.topology import topology

SCANNERS = 20
MOMENT = datetime(2100, 5, 1, 18, tzinfo=UTC)


class Blind(TicketRepository):
    """Saves over whatever is there: what admission would be without its guard."""

    async def save(self, read: StoredTicket, changed: Ticket) -> None:
        while True:
            now = await self.ticket(read.ticket.order_id, read.ticket.number)
            with contextlib.suppress(StaleWrite):
                return await super().save(now, changed)


async def winners(tickets: TicketRepository, store: EmbeddedStore) -> int:
    """How many of twenty simultaneous scans of one ticket win."""
    ticket = await a_ticket(store)
    door = Door(tickets, Codes("A" * 43))
    caller = Caller(PersonId("per_1"), memberships={ticket.organiser_id: Membership.OPERATOR})

    async def attempt(number: int) -> bool:
        check_in = CheckIn(at=MOMENT, by=PersonId(f"per_{number}"), by_name=f"Door {number}", nonce=f"nonce-{number}")
        try:
            await door.check_in(door.code(ticket), check_in, at_event=None, caller=caller)
        except TicketAlreadyUsed:
            return False
        return True

    return sum(await asyncio.gather(*(attempt(number) for number in range(SCANNERS))))


async def a_ticket(store: EmbeddedStore) -> Ticket:
    order_id = OrderId(random_id("ord"))
    facts = EventFacts(
        event_id=EventId(random_id("evt")), organiser_id=OrganiserId(random_id("org")), organiser_name="Riverside",
        name="Concert", starts_at=MOMENT, ends_at=MOMENT, venue="Hall", address="", city="Zurich", timezone="UTC",
    )  # fmt: skip
    places = [(TicketTypeId(random_id("tty")), "Adult")]
    [ticket] = issue(order_id=order_id, event=facts, places=places, owner_id=PersonId(""), holder="", now=MOMENT)
    await store.commit("orders", order_id, creating([ticket]))
    return ticket


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "control"])
async def test_the_guard_is_the_tickets_etag_without_it_more_than_one_wins(tmp_path: Path, guarded: bool) -> None:
    store = EmbeddedStore.at(tmp_path / "store.db", topology(), b"s" * 32)
    try:
        won = await winners((TicketRepository if guarded else Blind)(store), store)
    finally:
        store.close()

    assert won == 1 if guarded else won > 1
