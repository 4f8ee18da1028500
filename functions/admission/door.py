"""The door: whose ticket it is, letting its holder in once, and everybody's wallet."""

from collections.abc import Sequence

from functions.admission.codes import Codes
from functions.admission.repository import TicketRepository
from functions.admission.tickets import CheckIn, Ticket
from shared.auth.permissions import Caller, Permission, PermissionMissing, may, require
from shared.kernel.errors import DomainError, Kind, NotFound
from shared.kernel.ids import EventId, OrderId, PersonId, TicketNumber
from shared.retry import retry
from shared.store.port import Page, StaleWrite
from shared.telemetry import count


class WrongEvent(DomainError):
    """The ticket is for another event than the one at this door."""

    kind = Kind.CONFLICT


class Door:
    """Tickets after they were sold."""

    def __init__(self, repository: TicketRepository, codes: Codes) -> None:
        self._repository = repository
        self._codes = codes

    async def check_in(self, code: str, check_in: CheckIn, *, at_event: EventId | None, caller: Caller) -> Ticket:
        """Let the holder of a ticket in, exactly once; the same scan again gets the same answer.

        :param at_event: the event at this door, if the scanner says so
        :raises CodeRefused: the code is not ours
        :raises NotFound: no such ticket, or another organiser's
        :raises WrongEvent: it is for another event
        :raises TicketVoid: it was refunded
        :raises TicketAlreadyUsed: another scan was first
        """
        said = self._codes.read(code)

        async def attempt() -> Ticket:
            read = await self._repository.ticket(said.order_id, said.number)
            require(caller, Permission.CHECK_IN, read.ticket.organiser_id, what=f"ticket {said.number}")
            if at_event is not None and read.ticket.event.event_id != at_event:
                raise WrongEvent(f"The ticket is for “{read.ticket.event.name}”.", event_id=read.ticket.event.event_id)
            changed = read.ticket.used(check_in)
            if changed is not read.ticket:
                await self._repository.save(read, changed)
                count("check_ins")
            return changed

        return await retry(attempt, on=StaleWrite)

    async def ticket(self, order_id: OrderId, number: TicketNumber, *, caller: Caller) -> Ticket:
        """One ticket with its way in, for its owner or those who sell at the organiser's desk.

        :raises NotFound: no such ticket, or not the caller's
        :raises PermissionMissing: the caller may only look at it
        """
        ticket = (await self._repository.ticket(order_id, number)).ticket
        if not _visible(ticket, caller):
            raise NotFound(f"There is no ticket {number}.")
        if not may_hold(ticket, caller):
            raise PermissionMissing("You may see this ticket, not its code.", needs=Permission.SELL_AT_DESK)
        return ticket

    async def tickets(self, order_id: OrderId, *, caller: Caller) -> list[Ticket]:
        """All tickets of an order, for their owner or the organiser's people.

        :raises NotFound: no tickets, or not the caller's
        """
        found = [read.ticket for read in await self._repository.of_order(order_id)]
        if not found or not _visible(found[0], caller):
            raise NotFound(f"There are no tickets of an order {order_id}.")
        return found

    async def wallet(self, owner_id: PersonId, *, limit: int, continuation: str | None) -> Page:
        """A page of a person's own tickets."""
        return await self._repository.wallet(owner_id, limit=limit, continuation=continuation)

    async def fill_wallets(self, tickets: Sequence[Ticket]) -> None:
        """Bring wallets up to date with changed tickets; those without an owner are in none."""
        for ticket in tickets:
            if ticket.owner_id:
                await self._repository.put_in_wallet(ticket)

    def code(self, ticket: Ticket) -> str:
        """The ticket's signed code."""
        return self._codes.sign(ticket)

    def public_keys(self) -> list[dict[str, str]]:
        """What a scanner needs to check codes without network."""
        return self._codes.public_keys()


def may_hold(ticket: Ticket, caller: Caller) -> bool:
    """Whether the caller may have the ticket's code, which lets whoever shows it first in."""
    return caller.is_person(ticket.owner_id) or may(caller, Permission.SELL_AT_DESK, ticket.organiser_id)


def _visible(ticket: Ticket, caller: Caller) -> bool:
    return caller.is_person(ticket.owner_id) or may(caller, Permission.READ_ORDERS, ticket.organiser_id)
