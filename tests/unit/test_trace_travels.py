"""An operation travels from the commit through outbox, relay and bus to its consumer, and through a later copy."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from functions.operations.relay import Outgoing
from shared.bus.embedded import EmbeddedBus
from shared.bus.port import BusUnavailable, Message
from shared.bus.traced import TracedBus
from shared.events.envelope import Event, outbox
from shared.kernel.ids import OrganiserId
from shared.store.port import Busy
from shared.telemetry import DIAGNOSTIC_ID, SpanKind, span, trace_parent
from shared.topology import topology
from shared.web.triggers import queue_consumer
from tests.doubles.collector import collecting
from tests.doubles.host import queue_function

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TOLD = f"00-{TRACE}-{PARENT}-01"
NOW = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)


class Happened(Event):
    """Something."""


def document(**changes: Any) -> dict[str, Any]:
    """An outbox document as the change feed gives it."""
    written = outbox(Happened(id="x.1", occurred_at=NOW, organiser_id=OrganiserId("org_x")))
    return {**written.value, "id": written.id, "order_id": "ord_x", **changes}


class Away(EmbeddedBus):
    """A bus that does not answer."""

    async def publish(self, entity: str, messages: Sequence[Message]) -> None:
        """See `Bus.publish`."""
        raise BusUnavailable("as told")


@contextmanager
def bus_at(path: Path, kind: type[EmbeddedBus] = EmbeddedBus) -> Iterator[EmbeddedBus]:
    bus = kind(path / "bus.db", topology())
    try:
        yield bus
    finally:
        bus.close()


async def received(bus: EmbeddedBus) -> list[Message]:
    return [delivery.message for delivery in await bus.receive("stock", messages_max=10)]


def test_an_event_is_written_with_the_operation_it_happens_in() -> None:
    with collecting(), span("place_order"):
        assert document()["trace_parent"] == trace_parent() != ""


def test_without_an_exporter_an_event_is_written_as_before() -> None:
    assert "trace_parent" not in document()


def test_the_relay_hands_the_operation_on_and_sends_what_was_written_before_there_were_any() -> None:
    told = Outgoing.of("orders", document(trace_parent=TOLD)).message
    old = Outgoing.of("orders", document()).message
    assert told.properties == {DIAGNOSTIC_ID: TOLD}
    assert old.properties == {}


async def test_each_message_carries_a_span_of_its_own_in_the_operation_its_document_told(tmp_path: Path) -> None:
    old = Message("old", "Happened", b"{}")
    told = Message("told", "Happened", b"{}", properties={DIAGNOSTIC_ID: TOLD, "replay": "aud_x"})
    with bus_at(tmp_path) as bus, collecting() as collected:
        with span("relay_orders", SpanKind.CONSUMER):
            await TracedBus(bus).publish("stock", [old, told])
        found = {message.id: message.properties for message in await received(bus)}

    relay = collected.named("relay_orders")
    spans = {str(each.attributes["message_id"]): each for each in collected.spans if each.kind is SpanKind.PRODUCER}
    assert (spans["old"].trace_id, spans["old"].parent_id) == (relay.trace_id, relay.span_id)
    assert (spans["told"].trace_id, spans["told"].parent_id) == (TRACE, PARENT)
    assert found == {
        "old": {DIAGNOSTIC_ID: spans["old"].trace_parent},
        "told": {DIAGNOSTIC_ID: spans["told"].trace_parent, "replay": "aud_x"},
    }


async def test_a_bus_that_does_not_answer_is_a_failure_of_the_sending(tmp_path: Path) -> None:
    with bus_at(tmp_path, Away) as bus, collecting() as collected, pytest.raises(BusUnavailable):
        await TracedBus(bus).publish("stock", [Message("x", "Happened", b"{}")])
    [failed] = collected.spans
    assert (failed.ok, failed.attributes["error"]) == (False, "BusUnavailable")


class Told(BaseModel):
    """What the consumer is told."""


async def test_a_consumer_continues_its_message_and_so_does_the_copy_that_comes_later(tmp_path: Path) -> None:
    seen: list[str] = []

    async def follow(_: Told, __: datetime) -> None:
        seen.append(trace_parent())
        if len(seen) == 1:
            raise Busy("the first time")

    class Impatient(EmbeddedBus):
        """Takes every message as due now."""

        async def publish(self, entity: str, messages: Sequence[Message]) -> None:
            """See `Bus.publish`."""
            await super().publish(entity, [replace(message, due_at=None) for message in messages])

    with bus_at(tmp_path, Impatient) as bus, collecting() as collected:
        deliver = queue_function(queue_consumer(follow, queue="stock", message=Told, bus=TracedBus(bus)))
        await deliver(Message("x", "Happened", b"{}", properties={DIAGNOSTIC_ID: TOLD}))
        [later] = await received(bus)
        await deliver(later)

    first, second = [each for each in collected.spans if each.kind is SpanKind.CONSUMER]
    [copy] = [each for each in collected.spans if each.kind is SpanKind.PRODUCER]
    assert (first.attributes["outcome"], second.attributes["outcome"]) == ("postponed", "ok")
    assert {each.trace_id for each in collected.spans} == {TRACE}
    assert (first.parent_id, copy.parent_id, second.parent_id) == (PARENT, PARENT, copy.span_id)
    assert seen == [first.trace_parent, second.trace_parent]
