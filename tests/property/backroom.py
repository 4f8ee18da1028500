"""What happens behind the counter: outboxes emptied, messages delivered, until nothing is left to do."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from functions.composition import Adapters, UseCases
from functions.inventory import bus as inventory_bus
from functions.sales.bus import REFUNDS
from functions.sales.placing import EXPIRIES
from functions.sales.repository import ORDERS, OrderRepository
from functions.sales.webhook import PAYMENTS_QUEUE
from shared.bus.port import Message
from shared.events.sales import ExpireOrder, OrderRefunding, PaymentReported
from shared.kernel.ids import OrderId
from shared.store.port import Where
from tests.doubles.host import queue_function
from tests.doubles.mailbag import Mailbag

STOCK = inventory_bus.QUEUE
QUEUES = (PAYMENTS_QUEUE, EXPIRIES, STOCK, REFUNDS)
ROUNDS_MAX = 20


class Backroom:
    """The relay and the queues of sales and inventory, by hand."""

    def __init__(self, cases: UseCases, adapters: Adapters) -> None:
        assert isinstance(adapters.bus, Mailbag)
        self._cases = cases
        self._store = adapters.store
        self.bag = adapters.bus
        self.orders = OrderRepository(adapters.store)
        self._stock = queue_function(inventory_bus.consumer(cases.holds, adapters.bus))

    async def relay(self, order_id: OrderId) -> None:
        """Empty an order's outbox into the mailbag."""
        page = await self._store.query(ORDERS, order_id, where=[Where("kind", "=", "outbox")], limit=200)
        await self._cases.relay.send(ORDERS, [{**each.value, "id": each.id} for each in page.documents])

    async def deliver(self, queue: str, message: Message, *, now: datetime) -> None:
        """One message to its consumer, at the moment `now`; the stock consumer is the function itself."""
        if queue == PAYMENTS_QUEUE:
            await self._cases.settlement.settle(PaymentReported.model_validate_json(message.body), now=now)
        elif queue == EXPIRIES:
            await self._cases.settlement.expire(ExpireOrder.model_validate_json(message.body).order_id, now=now)
        elif queue == REFUNDS:
            await self._cases.refunding.run(OrderRefunding.model_validate_json(message.body).order_id, now=now)
        elif queue == STOCK:
            await self._stock(message)

    async def drain(self, orders: Sequence[OrderId], *, now: datetime, every: Callable[[], Awaitable[None]]) -> None:
        """Relay and deliver until there is nothing more; `every` round anything else the world does."""
        for _ in range(ROUNDS_MAX):
            await every()
            for order_id in orders:
                await self.relay(order_id)
            waiting = [(queue, message) for queue in QUEUES for message in self.bag.take(queue)]
            if not waiting:
                return
            for queue, message in waiting:
                await self.deliver(queue, message, now=now)
        raise AssertionError("messages never end")


async def nothing_else() -> None:
    """The world stands still."""
