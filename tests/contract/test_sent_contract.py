"""Every bus counts what it took, by who sent it where, as Azure grants sending: destination by destination."""

from collections.abc import Mapping

import pytest

from shared.bus.port import Message, MessageRefused, Replay
from shared.telemetry import sends, use_case
from tests.contract.harness import BusUnderTest

QUEUE = "stock"


def since(before: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """What was sent since then, by sender and destination."""
    return {key: grown for key, number in sends().items() if (grown := number - before.get(key, 0))}


async def test_messages_that_were_taken_are_counted_by_sender_and_destination(bus_under_test: BusUnderTest) -> None:
    use_case.set("a_sender")
    before = sends()
    bus = bus_under_test.bus
    await bus.publish("events", [Message(f"m-{number}", "OrderPaid", b"{}") for number in range(3)])
    await bus.publish("payments", [Message("m-1", "PaymentReported", b"{}")])
    await bus.publish("payments", [])
    with pytest.raises(MessageRefused):
        await bus.publish("nowhere", [Message("m-2", "PaymentReported", b"{}")])

    assert since(before) == {("a_sender", "events"): 3, ("a_sender", "payments"): 1}


async def test_a_replayed_dead_letter_is_sent_to_its_queue(bus_under_test: BusUnderTest) -> None:
    bus, receiver, dead = bus_under_test.bus, bus_under_test.receiver, bus_under_test.dead_letters
    await bus.publish(QUEUE, [Message("m-1", "OrderPaid", b"{}")])
    [delivery] = await receiver.receive(QUEUE, messages_max=1)
    await receiver.dead_letter(delivery, reason="Unreadable", description="")
    [letter] = (await dead.peek_dead_letters(QUEUE)).letters

    use_case.set("a_replayer")
    before = sends()
    await dead.replay(QUEUE, [Replay(letter.sequence_number, "r-1")])
    await dead.replay(QUEUE, [Replay(letter.sequence_number, "r-2")])

    assert since(before) == {("a_replayer", QUEUE): 1}
