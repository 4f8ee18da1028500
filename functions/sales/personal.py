"""What sales holds of a person: the orders they placed, for themselves or at a desk, with their tickets."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

from functions.admission.repository import ORDERS, TicketRepository, replacing
from functions.sales.orders import Order
from functions.sales.repository import OrderRepository
from functions.sales.states import UNSETTLED
from shared.kernel.ids import OrderId, PersonId
from shared.personal_data import Held
from shared.retry import TRANSIENT, retry
from shared.store.port import StaleWrite

ERASED_AT_ONCE: Final = 500  # orders; with a commit each well within a message's lock


class PersonalOrders:
    """Gives out and loses the persons of orders. The books stay: amounts, ids, states, what was bought and when."""

    def __init__(self, orders: OrderRepository, tickets: TicketRepository) -> None:
        self._orders = orders
        self._tickets = tickets

    async def export(self, person_id: PersonId) -> AsyncIterator[Held]:
        """Every order, and its tickets where they are the person's own."""
        async for document in self._orders.of_person(person_id):
            order = Order.model_validate(document.value)
            own = order.buyer.person_id == person_id
            # Whoever sells at a desk sold; to whom is not about them.
            yield Held.of(ORDERS, document, *(() if own else _SOLD))
            if own:
                for ticket in await self._tickets.documents_of_order(order.order_id):
                    yield Held.of(ORDERS, ticket)

    async def erase(self, person_id: PersonId, *, now: datetime) -> bool:
        """Lose the person in every order that is settled, and in its tickets with the same commit.

        :returns: whether that was all; an order whose money may still move is waited for
        """
        forgotten, all_settled = 0, True
        async for document in self._orders.of_person(person_id):
            if forgotten == ERASED_AT_ONCE:
                return False
            if await self._forget(OrderId(document.partition), person_id):
                forgotten += 1
            else:
                all_settled = False
        return all_settled

    async def _forget(self, order_id: OrderId, person_id: PersonId) -> bool:
        async def attempt() -> bool:
            read = await self._orders.known(order_id)
            if read.order.state in UNSETTLED:
                return False
            issued = await self._tickets.of_order(order_id)
            changes = [(ticket, ticket.ticket.forgetting(person_id)) for ticket in issued]
            beside = [replacing(ticket, changed) for ticket, changed in changes if changed is not ticket.ticket]
            forgotten = read.order.forgetting(person_id)
            if beside or forgotten is not read.order:
                await self._orders.save(read, forgotten, beside=beside)
            return True

        return await retry(attempt, on=(StaleWrite, *TRANSIENT))


_SOLD: Final = ("kind", "order_id", "organiser_id", "person_id", "placed_by", "created_at", "method", "state", "total")
