"""Insights' queue: every event that is subscribed to is recorded once."""

from datetime import datetime

import azure.functions as func
from pydantic import BaseModel, ConfigDict

from functions.insights.events import RecordedEvents
from shared.bus.port import Bus
from shared.kernel.ids import OrganiserId
from shared.web.triggers import queue_consumer

QUEUE = "insights"


class AnyEvent(BaseModel):
    """Any published event; what is not named here is kept as it came."""

    model_config = ConfigDict(extra="allow", frozen=True)

    id: str
    type: str
    occurred_at: str
    organiser_id: OrganiserId


def consumer(recorded: RecordedEvents, bus: Bus) -> func.Blueprint:
    """The queue trigger of insights."""

    async def record_event(event: AnyEvent, now: datetime) -> None:
        await recorded.record(event.organiser_id, event.model_dump())

    return queue_consumer(record_event, queue=QUEUE, message=AnyEvent, bus=bus)
