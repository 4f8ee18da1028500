"""Repair: what a lost message or a crash left undone is found by looking, and done by the same idempotent steps."""

from datetime import datetime, timedelta
from typing import Final

from pydantic import ValidationError

from functions.inventory.holds import Holds
from functions.inventory.pools import Allocation
from functions.inventory.repository import InventoryRepository
from functions.sales.orders import Order
from functions.sales.refunding import Refunding
from functions.sales.repository import OrderRepository, StoredOrder
from functions.sales.settling import Settlement
from functions.sales.states import OrderState
from shared.kernel.errors import DependencyUnavailable, DomainError
from shared.kernel.ids import OrderId, random_id
from shared.payments.port import PaymentsRefused
from shared.store.port import Document, StoreError
from shared.telemetry import Log, correlation, count

GRACE: Final = timedelta(minutes=2)  # the ordinary way comes first
_log = Log("repair")
_GIVES_BACK: Final = frozenset({OrderState.EXPIRED, OrderState.CANCELLED, OrderState.REFUSED})


class Repair:
    """Looks for what is overdue.

    :param deadline: how long an order may hold stock unpaid
    """

    def __init__(
        self, orders: OrderRepository, inventory: InventoryRepository, holds: Holds, settlement: Settlement,
        refunding: Refunding, deadline: timedelta,
    ) -> None:  # fmt: skip
        self._orders = orders
        self._inventory = inventory
        self._holds = holds
        self._settlement = settlement
        self._refunding = refunding
        self._deadline = deadline
        self._provider_away = False

    async def overdue_orders(self, now: datetime) -> int:
        """End orders whose deadline is long over, carry out refunds long begun; how many were looked at.

        Places of refunded orders go back on sale, if they have not yet.

        One order that cannot be helped does not keep the others from being.
        """
        looked_at = 0
        self._provider_away = False
        async for document in self._orders.due_before(now - GRACE):
            looked_at += 1
            try:
                await self._help(document, now)
            except (DomainError, StoreError, PaymentsRefused, ValidationError) as error:
                _log.error("order_not_helped", error=error, order_id=document.partition)
        return looked_at

    async def forgotten_holds(self, now: datetime) -> int:
        """Sell or free stock still held by orders that ended; how many holds were moved."""
        moved = 0
        async for order_id, held in self._inventory.held_before(now - self._deadline - GRACE):
            try:
                moved += await self._release(order_id, held)
            except (DomainError, StoreError, ValidationError) as error:
                _log.error("hold_not_helped", error=error, order_id=order_id, pool_id=held.pool_id)
        return moved

    async def _help(self, document: Document, now: datetime) -> None:
        order = Order.model_validate(document.value)
        if order.state is OrderState.REFUNDED:
            # A sold place does not show that it should be free again, as a held one does: so every refund is looked at
            # once, whether or not its event has done this already.
            if moved := await self._holds.restock(order.held, order_id=order.order_id):
                count("holds_repaired", moved)
                _log.warning("refund_not_restocked", order_id=order.order_id, holds=moved)
            await self._orders.save(StoredOrder(order, document.etag), order.nothing_owed())
            return
        if self._provider_away and (order.state is OrderState.REFUNDING or order.checkout is not None):
            return  # asked for one order it did not answer: the others need not wait for that, one by one
        token = correlation.set(random_id("cor"))  # the buyer may be told under it
        try:
            await self._catch_up(order, now)
        finally:
            correlation.reset(token)

    async def _catch_up(self, order: Order, now: datetime) -> None:
        count("orders_repaired")
        _log.warning("order_overdue", order_id=order.order_id, state=order.state.value)
        try:
            if order.state is OrderState.REFUNDING:
                await self._refunding.run(order.order_id, now=now)
            else:
                await self._settlement.expire(order.order_id, now=now)
        except DependencyUnavailable as error:
            self._provider_away = True
            _log.warning("order_waits_for_provider", order_id=order.order_id, reason=repr(error))

    async def _release(self, order_id: OrderId, held: Allocation) -> int:
        found = await self._orders.find(order_id)
        if found is None:
            _log.error("hold_without_order", order_id=order_id, pool_id=held.pool_id)
            return 0
        order = found.order
        unrecorded = order.state is not OrderState.PLACING and held not in order.held
        if unrecorded or order.state in _GIVES_BACK or held.attempt in order.abandoned:
            await self._holds.free([held], order_id=order_id)
        elif order.state is OrderState.PAID:
            await self._holds.sell([held], order_id=order_id)
        elif order.state is OrderState.REFUNDED:
            await self._holds.restock([held], order_id=order_id)
        else:
            return 0
        count("holds_repaired")
        _log.warning("hold_forgotten", order_id=order_id, pool_id=held.pool_id, state=order.state.value)
        return 1
