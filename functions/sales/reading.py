"""Looking at orders."""

from functions.sales.orders import Order
from functions.sales.repository import OrderRepository
from functions.sales.settling import refuse_stranger
from shared.auth.permissions import Caller
from shared.kernel.ids import OrderId


class Orders:
    """Reads orders for people and for other contexts."""

    def __init__(self, orders: OrderRepository) -> None:
        self._orders = orders

    async def show(self, order_id: OrderId, *, caller: Caller) -> Order:
        """The order, for who placed it and the organiser's people.

        :raises NotFound: no such order, or not the caller's
        """
        order = (await self._orders.read(order_id)).order
        refuse_stranger(order, caller)
        return order

    async def for_result(self, order_id: OrderId) -> Order | None:
        """The order, for the page that tells its state; None when there is no such order."""
        found = await self._orders.find(order_id)
        return found.order if found else None

    async def for_mail(self, order_id: OrderId) -> Order:
        """The order, for telling its buyer.

        :raises NotFound: there is none such
        """
        return (await self._orders.read(order_id)).order
