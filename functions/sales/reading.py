"""Looking at orders."""

from functions.sales.orders import Order
from functions.sales.repository import OrderRepository
from functions.sales.settling import refuse_stranger
from functions.sales.states import OrderState
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

    async def state_of(self, order_id: OrderId) -> OrderState | None:
        """The order's state, or None when there is no such order."""
        found = await self._orders.find(order_id)
        return found.order.state if found else None

    async def for_mail(self, order_id: OrderId) -> Order:
        """The order, for telling its buyer.

        :raises NotFound: there is none such
        """
        return (await self._orders.read(order_id)).order
