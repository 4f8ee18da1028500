"""The local host's receiving half over Service Bus: what the contract suites do not ask."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local.host.servicebus import ServiceBusReceiver
from shared.bus.port import Delivery, LockLost, Message
from shared.bus.servicebus import ServiceBus
from shared.topology import topology
from tests.contract.servicebus import bus_at
from tests.emulators.servicebus import Namespace, namespace

QUEUE = "payments"
MESSAGES = 40


@pytest.fixture
async def space(tmp_path: Path) -> AsyncIterator[Namespace]:
    async with namespace(tmp_path) as found:
        yield found


@pytest.fixture
async def bus(space: Namespace) -> AsyncIterator[ServiceBus]:
    bus = bus_at(space.port, space.key)
    yield bus
    await bus.close()


@pytest.fixture
async def receiver(bus: ServiceBus) -> AsyncIterator[ServiceBusReceiver]:
    receiver = ServiceBusReceiver(bus.client, topology())
    yield receiver
    await receiver.close()


def messages(number: int) -> list[Message]:
    return [Message(f"m{place}", "T", b"{}") for place in range(number)]


async def test_settling_is_not_held_up_by_those_who_wait(bus: ServiceBus, receiver: ServiceBusReceiver) -> None:
    """A listener has the link for half a minute, if nobody tells it to step aside."""
    await bus.publish(QUEUE, messages(MESSAGES))
    deliveries = await receiver.receive(QUEUE, messages_max=MESSAGES)
    assert await receiver.receive(QUEUE, messages_max=1) == []

    async def wait_on() -> None:
        while True:
            await receiver.wait(0)

    async with asyncio.timeout(9):  # a link's turn is waited for 10 s at most
        waiting = [asyncio.create_task(wait_on()) for _ in range(5)]
        for delivery in deliveries:
            await receiver.complete(delivery)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)

    assert await receiver.counts(QUEUE) == {"active": 0, "scheduled": 0, "dead": 0}


async def test_what_comes_while_somebody_waits_is_locked_once_and_handed_out(
    space: Namespace, bus: ServiceBus, receiver: ServiceBusReceiver
) -> None:
    async def collect(number: int) -> list[Delivery]:
        found: list[Delivery] = []
        while len(found) < number:
            got = await receiver.receive(QUEUE, messages_max=3)
            found += got
            if not got:
                await receiver.wait(5)
        return found

    assert await receiver.receive(QUEUE, messages_max=3) == []  # the link is open, and has been drained
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        collecting = group.create_task(collect(MESSAGES))
        for each in messages(MESSAGES):
            await bus.publish(QUEUE, [each])

    assert {delivery.message.id for delivery in collecting.result()} == {each.id for each in messages(MESSAGES)}
    assert {delivery.delivery_count for delivery in collecting.result()} == {1}


async def test_no_message_is_locked_for_a_receiver_that_asks_for_none(
    space: Namespace, bus: ServiceBus, receiver: ServiceBusReceiver
) -> None:
    """The SDK's own receiver leaves credit with the bus: what comes then is locked, and nobody knows."""
    assert await receiver.receive(QUEUE, messages_max=100) == []

    await bus.publish(QUEUE, messages(3))
    await asyncio.sleep(0.2)

    stored = await space.broker.engine.peek(QUEUE, dead=False, first=1, limit=10)
    assert [each.delivery_count for each in stored] == [0, 0, 0]


async def test_a_settled_delivery_is_forgotten_and_settling_it_again_is_refused(
    bus: ServiceBus, receiver: ServiceBusReceiver
) -> None:
    await bus.publish(QUEUE, messages(1))
    [delivery] = await receiver.receive(QUEUE, messages_max=1)
    await receiver.complete(delivery)

    with pytest.raises(LockLost):
        await receiver.renew(delivery)


async def test_what_no_call_may_ask_is_refused(receiver: ServiceBusReceiver) -> None:
    for queue, number in [("nowhere", 1), (QUEUE, 0), (QUEUE, 257)]:
        with pytest.raises(ValueError):
            await receiver.receive(queue, messages_max=number)
