"""Tickets as documents: in their order's partition, and copies in their owner's wallet."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from functions.admission.tickets import Ticket
from shared.kernel.errors import NotFound as NothingThere
from shared.kernel.ids import OrderId, PersonId, TicketNumber
from shared.readmodel import keep_newest
from shared.store.paging import all_documents
from shared.store.port import (
    EVERYWHERE,
    PAGE_MAX,
    WRITES_MAX,
    Create,
    Delete,
    Document,
    NotFound,
    OrderBy,
    Page,
    Replace,
    Store,
    Unavailable,
    Where,
)

ORDERS = "orders"
WALLETS = "wallets"
TICKET_KIND = "ticket"


@dataclass(frozen=True, slots=True)
class StoredTicket:
    """A ticket and the etag it was read at."""

    ticket: Ticket
    etag: str


def creating(tickets: Sequence[Ticket]) -> list[Create]:
    """The writes that issue tickets, for the commit that pays their order."""
    return [Create(_id(ticket.number), _stored(ticket)) for ticket in tickets]


def replacing(read: StoredTicket, changed: Ticket) -> Replace:
    """The write that changes one ticket."""
    return Replace(_id(changed.number), _stored(changed), read.etag)


class TicketRepository:
    """Reads and writes tickets."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def ticket(self, order_id: OrderId, number: TicketNumber) -> StoredTicket:
        """:raises NotFound: the order has no such ticket"""
        try:
            document = await self._store.read(ORDERS, order_id, _id(number))
        except NotFound as missing:
            raise NothingThere(f"There is no ticket {number}.") from missing
        return StoredTicket(Ticket.model_validate(document.value), document.etag)

    async def of_order(self, order_id: OrderId) -> list[StoredTicket]:
        """All tickets of an order, by number."""
        found = await self.documents_of_order(order_id)
        return [StoredTicket(Ticket.model_validate(document.value), document.etag) for document in found]

    async def documents_of_order(self, order_id: OrderId) -> list[Document]:
        """Documents of all tickets of an order, by number."""
        where = [Where("kind", "=", TICKET_KIND)]
        found = all_documents(
            lambda continuation: self._store.query(
                ORDERS, order_id, where=where, limit=PAGE_MAX, continuation=continuation
            )
        )
        return [document async for document in found]

    async def save(self, read: StoredTicket, changed: Ticket) -> None:
        """Write a changed ticket.

        :raises StaleWrite: somebody else changed it since it was read
        """
        await self._store.commit(ORDERS, changed.order_id, [replacing(read, changed)])

    def let_in_by(self, person_id: PersonId) -> AsyncIterator[Document]:
        """Documents of the tickets whose holders a person let in."""
        where = [Where("person_id", "=", person_id), Where("kind", "=", TICKET_KIND)]
        return all_documents(
            lambda continuation: self._store.query(
                ORDERS, EVERYWHERE, where=where, limit=PAGE_MAX, continuation=continuation
            )
        )

    async def empty_wallet(self, owner_id: PersonId) -> bool:
        """Remove a person's copies of tickets, some of them at once; whether none are left."""
        page = await self._store.query(WALLETS, owner_id, limit=WRITES_MAX)
        if page.documents:
            try:
                await self._store.commit(WALLETS, owner_id, [Delete(each.id) for each in page.documents])
            except NotFound:
                return False  # somebody else empties it as well
        return page.continuation is None

    async def put_in_wallet(self, ticket: Ticket) -> None:
        """Bring the owner's wallet up to date; a late change never overwrites a newer one.

        Nor does it give the ticket back to whom it is not any more, however late it is: who was forgotten has no copy
        that would be newer, so before one is made the ticket itself is asked.

        :raises Unavailable: the store does not show the ticket, though none is ever deleted; later
        """

        async def still_theirs() -> bool:
            try:
                return (await self.ticket(ticket.order_id, ticket.number)).ticket.owner_id == ticket.owner_id
            except NothingThere as stale:  # else its owner would go without: nobody tells of it a second time
                raise Unavailable(f"Ticket {ticket.number} is not to be seen yet.") from stale

        value = {**_stored(ticket), "starts_at": _stored(ticket)["event"]["starts_at"]}
        copy_id = f"{ticket.order_id}:{ticket.number}"
        await keep_newest(self._store, WALLETS, ticket.owner_id, copy_id, value, still=still_theirs)

    async def wallet(self, owner_id: PersonId, *, limit: int, continuation: str | None) -> Page:
        """A page of a person's tickets, by the event's date, latest first."""
        return await self._store.query(
            WALLETS,
            owner_id,
            order_by=OrderBy("starts_at", descending=True),
            limit=limit,
            continuation=continuation,
        )


def _id(number: TicketNumber) -> str:
    return f"ticket:{number}"


def _stored(ticket: Ticket) -> dict[str, Any]:
    """The document; `person_id` is by what the traces of whoever let people in are found."""
    by = {"person_id": ticket.check_in.by} if ticket.check_in else {}
    return {"kind": TICKET_KIND, **by, **ticket.model_dump(mode="json")}
