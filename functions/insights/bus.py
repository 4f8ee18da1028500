"""Insights' queue: every event that is subscribed to is recorded once."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import azure.functions as func
from pydantic import ConfigDict

from functions.insights.events import RecordedEvents
from shared.bus.port import Bus
from shared.kernel.ids import OrganiserId
from shared.kernel.model import Model
from shared.telemetry import business_event
from shared.web.triggers import queue_consumer

QUEUE = "insights"
_TOLD: Final = ("id", "organiser_id", "event_id", "order_id", "method", "by")


class AnyEvent(Model):
    """Any published event; what is not named here is kept as it came."""

    model_config = ConfigDict(extra="allow", frozen=True)

    id: str
    type: str
    occurred_at: str
    organiser_id: OrganiserId


def facts_of(event: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, float]]:
    """What an exporter of telemetry is told of an event: named ids and words, and its numbers; nothing else.

    What is none of these is left out: the event is recorded by then, and must not come again for telemetry's sake.
    """
    total = event.get("total")
    money: Mapping[str, Any] = total if isinstance(total, Mapping) else {}
    words = {**{name: event.get(name) for name in _TOLD}, "currency": money.get("currency")}
    numbers = {"quantity": event.get("quantity"), "amount_minor": money.get("amount_minor")}
    properties = {name: word for name, word in words.items() if isinstance(word, str) and word}
    measurements = {name: float(number) for name, number in numbers.items() if isinstance(number, int)}
    return properties, measurements


def consumer(recorded: RecordedEvents, bus: Bus) -> func.Blueprint:
    """The queue trigger of insights."""

    async def record_event(event: AnyEvent, now: datetime) -> None:
        told = event.model_dump()
        if await recorded.record(event.organiser_id, told):
            business_event(event.type, *facts_of(told))

    return queue_consumer(record_event, queue=QUEUE, message=AnyEvent, bus=bus)
