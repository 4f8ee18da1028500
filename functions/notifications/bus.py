"""Notifications' queue."""

import azure.functions as func

from functions.notifications.telling import Telling
from shared.bus.port import Bus
from shared.events.sales import OrderPaid
from shared.web.triggers import Delivery, queue_consumer

QUEUE = "notifications"


def consumer(telling: Telling, bus: Bus) -> func.Blueprint:
    """The queue trigger of notifications."""

    async def mail_confirmation(paid: OrderPaid, delivery: Delivery) -> None:
        await telling.confirm(paid.order_id, paid.organiser_id, now=delivery.now)

    return queue_consumer(mail_confirmation, queue=QUEUE, message=OrderPaid, bus=bus)
