"""Every bus counts what it took, by who sent it where, as Azure grants sending: destination by destination."""

from collections import Counter

import pytest

from shared.bus.port import Message, MessageRefused, Replay
from shared.telemetry import sends, use_case
from tests.contract.harness import BusUnderTest

QUEUE = "stock"


@pytest.fixture(autouse=True)
def _nothing_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.telemetry.metrics._sends", Counter())


async def test_messages_that_were_taken_are_counted_by_sender_and_destination(bus_under_test: BusUnderTest) -> None:
    use_case.set("a_sender")
    bus = bus_under_test.bus
    await bus.publish("events", [Message(f"m-{number}", "OrderPaid", b"{}") for number in range(3)])
    await bus.publish("payments", [Message("m-1", "PaymentReported", b"{}")])
    await bus.publish("payments", [])
    with pytest.raises(MessageRefused):
        await bus.publish("nowhere", [Message("m-2", "PaymentReported", b"{}")])

    assert sends() == {("a_sender", "events"): 3, ("a_sender", "payments"): 1}


async def test_a_replayed_dead_letter_is_sent_to_its_queue(bus_under_test: BusUnderTest) -> None:
    bus, receiver, dead = bus_under_test.bus, bus_under_test.receiver, bus_under_test.dead_letters
    await bus.publish(QUEUE, [Message("m-1", "OrderPaid", b"{}")])
    [delivery] = await receiver.receive(QUEUE, messages_max=1)
    await receiver.dead_letter(delivery, reason="Unreadable", description="")
    [letter] = (await dead.peek_dead_letters(QUEUE)).letters

    use_case.set("a_replayer")
    await dead.replay(QUEUE, [Replay(letter.sequence_number, "r-1")])
    await dead.replay(QUEUE, [Replay(letter.sequence_number, "r-2")])

    assert {key: number for key, number in sends().items() if key[0] == "a_replayer"} == {("a_replayer", QUEUE): 1}
