"""Inventory's queue: what becomes of an order's stock, told by the order's own events.

Any order of events, any number of times: each move of a hold happens only from the state it belongs to.
"""

from datetime import datetime

import azure.functions as func

from functions.inventory.holds import Holds
from functions.inventory.pools import Allocation, Pool
from shared.bus.port import Bus
from shared.events.sales import (
    AttemptAbandoned,
    OrderCancelled,
    OrderEvent,
    OrderExpired,
    OrderPaid,
    OrderRefunded,
    OrderRefused,
)
from shared.web.triggers import queue_consumer

QUEUE = "stock"
_FREES = {event.type_name() for event in (AttemptAbandoned, OrderRefused, OrderExpired, OrderCancelled)}


class StockMessage(OrderEvent):
    """Any event of an order; `type` says which."""

    type: str


def consumer(holds: Holds, bus: Bus) -> func.Blueprint:
    """The inventory's queue trigger."""

    async def move_stock(message: StockMessage, now: datetime) -> None:
        held = [Allocation(**part.model_dump()) for part in message.held]
        if message.type == OrderPaid.type_name():
            await holds.sell(held, order_id=message.order_id)
        elif message.type == OrderRefunded.type_name():
            await holds.restock(held, order_id=message.order_id)
        elif message.type in _FREES:
            await holds.free(held, order_id=message.order_id)
        else:
            raise ValueError(f"the stock queue got a {message.type}")
        if message.abandoned_attempts:
            await holds.abandon(
                _pools(message), order_id=message.order_id, attempts=message.abandoned_attempts, now=now
            )

    return queue_consumer(move_stock, queue=QUEUE, message=StockMessage, bus=bus)


def _pools(message: StockMessage) -> list[Pool]:
    return [
        Pool(
            organiser_id=message.organiser_id,
            event_id=message.event_id,
            pool_id=layout.pool_id,
            shards=layout.shards,
        )
        for layout in message.pools
    ]
