"""What is told of a recorded event is what can be told of it: an odd one is recorded once, and never comes again."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from functions.insights.bus import consumer
from functions.insights.events import INSIGHTS, RecordedEvents
from shared.bus.port import Message
from tests.doubles.collector import collecting
from tests.doubles.host import queue_function
from tests.doubles.mailbag import Mailbag
from tests.factories import settings as factory

EVENT = {
    "id": "ord_x.paid", "type": "OrderPaid", "occurred_at": "2026-11-21T20:00:00Z", "organiser_id": "org_x",
    "order_id": "ord_x", "method": "desk", "quantity": 2, "total": {"amount_minor": 500, "currency": "EUR"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "properties", "measurements"),
    [
        ({}, {"currency": "EUR"}, {"quantity": 2.0, "amount_minor": 500.0}),
        ({"quantity": None}, {"currency": "EUR"}, {"amount_minor": 500.0}),
        ({"quantity": "two", "total": {}}, {}, {}),
        ({"total": 5}, {}, {"quantity": 2.0}),
        ({"total": {"amount_minor": None, "currency": {"x": "y"}}}, {}, {"quantity": 2.0}),
    ],
)
async def test_an_event_is_recorded_and_what_is_odd_in_it_is_not_told(
    tmp_path: Path, changes: dict[str, Any], properties: dict[str, str], measurements: dict[str, float]
) -> None:
    with factory.adapters(tmp_path, bus=Mailbag()) as adapters, collecting() as collected:
        deliver = queue_function(consumer(RecordedEvents(adapters.store), adapters.bus))
        await deliver(Message("ord_x.paid", "OrderPaid", orjson.dumps(EVENT | changes)))
        recorded = await adapters.store.read(INSIGHTS, "org_x", "ord_x.paid")

    assert recorded.value["payload"] == EVENT | changes
    [told] = collected.events
    common = {"id": "ord_x.paid", "organiser_id": "org_x", "order_id": "ord_x", "method": "desk"}
    assert (told.properties, told.measurements) == (common | properties, measurements)
