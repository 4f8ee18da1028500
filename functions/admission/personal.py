"""What admission holds of a person: their wallet, and whom they let in."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final

from functions.admission.repository import ORDERS, WALLETS, TicketRepository
from functions.admission.tickets import Ticket, TicketState
from shared.kernel.ids import OrderId, PersonId, TicketNumber
from shared.personal_data import Held
from shared.retry import TRANSIENT, retry
from shared.store.paging import all_documents
from shared.store.port import PAGE_MAX, Document, StaleWrite

ERASED_AT_ONCE: Final = 1_000  # check-ins
WALLET_PAGES_MAX: Final = 100
_LET_IN: Final = ("kind", "number", "order_id", "organiser_id", "ticket_type", "check_in", "person_id")


class PersonalTickets:
    """Gives out and loses what is held of ticket owners, and of who stood at the door."""

    def __init__(self, tickets: TicketRepository) -> None:
        self._tickets = tickets

    async def export(self, person_id: PersonId) -> AsyncIterator[Held]:
        """The wallet, and of the tickets of others that they were let in by the person."""
        async for copy in self._wallet(person_id):
            yield Held.of(WALLETS, copy)
        async for document in self._tickets.let_in_by(person_id):
            if Ticket.model_validate(document.value).owner_id != person_id:
                yield Held.of(ORDERS, document, *_LET_IN)

    async def erase(self, person_id: PersonId, *, now: datetime) -> bool:
        """Empty the wallet, and lose who let people in.

        :returns: whether that was all
        """
        forgotten = 0
        async for document in self._tickets.let_in_by(person_id):
            if forgotten == ERASED_AT_ONCE:
                return False
            ticket = Ticket.model_validate(document.value)
            await self._forget(ticket.order_id, ticket.number, person_id)
            forgotten += 1
        for _ in range(WALLET_PAGES_MAX):
            if await self._tickets.empty_wallet(person_id):
                return True
        return False

    async def at_stake(self, person_id: PersonId, now: datetime) -> Sequence[str]:
        """The good tickets for what is still to come, event by event."""
        coming: Counter[tuple[str, str]] = Counter()
        async for copy in self._wallet(person_id):
            ticket = Ticket.model_validate(copy.value)
            if ticket.event.ends_at < now:
                continue
            if ticket.state is TicketState.VALID:
                coming[ticket.event.name, f"{ticket.event.starts_at:%Y-%m-%d}"] += 1
        return [f"{number} × “{name}” on {day}" for (name, day), number in sorted(coming.items())]

    def _wallet(self, person_id: PersonId) -> AsyncIterator[Document]:
        return all_documents(
            lambda continuation: self._tickets.wallet(person_id, limit=PAGE_MAX, continuation=continuation),
            pages_max=WALLET_PAGES_MAX,
        )

    async def _forget(self, order_id: OrderId, number: TicketNumber, person_id: PersonId) -> None:
        async def attempt() -> None:
            read = await self._tickets.ticket(order_id, number)
            changed = read.ticket.forgetting(person_id)
            if changed is not read.ticket:
                await self._tickets.save(read, changed)

        await retry(attempt, on=(StaleWrite, *TRANSIENT))
