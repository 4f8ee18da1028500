"""Many pumps on one receiver of Service Bus: whoever listens for news never keeps a queue's link from who needs it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.bus.port import Message, Receiver
from tests.contract.harness import BusUnderTest
from tests.contract.servicebus import servicebus

ROUNDS = 20


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[BusUnderTest]:
    async with servicebus(tmp_path) as found:
        yield found


async def listening(receiver: Receiver) -> None:
    """Somebody waits for news of every queue."""
    waiting = asyncio.create_task(receiver.wait(0.05))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    await waiting


async def test_a_pump_that_begins_to_wait_does_not_take_the_link_from_one_that_receives(bus: BusUnderTest) -> None:
    receiver = bus.receiver
    assert await receiver.receive("refunds", messages_max=1) == []
    for _ in range(ROUNDS):
        await listening(receiver)
        async with asyncio.timeout(5):  # it would wait for ten, and then say that the bus is away
            receiving = asyncio.create_task(receiver.receive("refunds", messages_max=1))
            elsewhere = asyncio.create_task(receiver.wait(0.05))
            assert await receiving == []
            await elsewhere


async def test_who_waits_is_woken_though_listening_was_put_off_for_a_call(bus: BusUnderTest) -> None:
    receiver = bus.receiver
    assert await receiver.receive("refunds", messages_max=1) == []
    await listening(receiver)
    receiving = asyncio.create_task(receiver.receive("refunds", messages_max=1))
    waiting = asyncio.create_task(receiver.wait(5))
    assert await receiving == []
    await bus.bus.publish("refunds", [Message("m-1", "OrderRefunding", b"{}")])
    async with asyncio.timeout(4):
        await waiting

    assert [each.message.id for each in await receiver.receive("refunds", messages_max=1)] == ["m-1"]
