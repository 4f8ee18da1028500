"""Orders as documents: the only file that knows their ids and partitions."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from functions.sales.orders import Order
from shared.kernel.clock import stamp
from shared.kernel.errors import NotFound as NothingThere
from shared.kernel.ids import OrderId, PersonId
from shared.store.paging import all_documents
from shared.store.port import (
    EVERYWHERE,
    PAGE_MAX,
    Create,
    Document,
    NotFound,
    Replace,
    Store,
    Unavailable,
    Where,
    Write,
)

ORDERS = "orders"
KIND = "order"
_ID = "order"


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """An order and the etag it was read at."""

    order: Order
    etag: str


class OrderRepository:
    """Reads and writes orders, each with what its change creates and publishes, in one commit."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, order_id: OrderId) -> StoredOrder:
        """:raises NotFound: there is none such"""
        found = await self.find(order_id)
        if found is None:
            raise NothingThere(f"There is no order {order_id}.")
        return found

    async def find(self, order_id: OrderId) -> StoredOrder | None:
        """The order, or None."""
        try:
            document = await self._store.read(ORDERS, order_id, _ID)
        except NotFound:
            return None
        return StoredOrder(Order.model_validate(document.value), document.etag)

    async def known(self, order_id: OrderId) -> StoredOrder:
        """An order that is certainly there: its id was refused as taken, or we wrote it ourselves.

        :raises Unavailable: the store does not show it yet; ask again
        """
        found = await self.find(order_id)
        if found is None:
            raise Unavailable(f"The store has order {order_id}, and does not show it yet.")
        return found

    async def create(self, order: Order, *, beside: Sequence[Write] = ()) -> StoredOrder:
        """Write a new order.

        :raises AlreadyExists: there is one with its id
        """
        etags = await self._store.commit(ORDERS, order.order_id, [Create(_ID, _stored(order)), *beside])
        return StoredOrder(order, etags[0])

    async def save(self, read: StoredOrder, changed: Order, *, beside: Sequence[Write] = ()) -> StoredOrder:
        """Write a changed order and what comes with the change, if nobody changed it since it was read.

        :raises StaleWrite: somebody did; nothing happened
        """
        writes: list[Write] = [Replace(_ID, _stored(changed), read.etag), *beside]
        etags = await self._store.commit(ORDERS, changed.order_id, writes)
        return StoredOrder(changed, etags[0])

    def of_person(self, person_id: PersonId) -> AsyncIterator[Document]:
        """Documents of the orders that a person placed."""
        where = [Where("person_id", "=", person_id), Where("kind", "=", KIND)]
        return all_documents(
            lambda continuation: self._store.query(
                ORDERS, EVERYWHERE, where=where, limit=PAGE_MAX, continuation=continuation
            )
        )

    def due_before(self, moment: datetime) -> AsyncIterator[Document]:
        """Documents of orders that something is still owed to since before `moment`: for the repair timer."""
        where = [Where("due_at", "<", stamp(moment))]
        return all_documents(
            lambda continuation: self._store.query(
                ORDERS, EVERYWHERE, where=where, limit=PAGE_MAX, continuation=continuation
            )
        )


def _stored(order: Order) -> dict[str, object]:
    """The document; `person_id` is by what a person's traces are found."""
    return {"kind": KIND, "person_id": order.placed_by, **order.model_dump(mode="json")}
