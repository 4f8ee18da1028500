"""What every bus must do, in the words of `shared/bus/port.py`."""

import asyncio
from collections.abc import Awaitable, Iterator, Mapping
from datetime import timedelta

import pytest

from shared.bus.port import (
    MESSAGE_BYTES_MAX,
    Bus,
    Delivery,
    LockLost,
    Message,
    MessageRefused,
    Receiver,
)
from shared.topology import topology
from tests.contract.harness import BusUnderTest

QUEUE = "payments"
SETTINGS = topology().queue(QUEUE)


def message(id_: str = "m-1", type_: str = "PaymentReported", body: bytes = b'{"n":1}') -> Message:
    return Message(id_, type_, body)


async def receive_one(receiver: Receiver, queue: str = QUEUE) -> Delivery:
    (delivery,) = await receiver.receive(queue, messages_max=1)
    return delivery


async def received(receiver: Receiver, queue: str = QUEUE) -> list[str]:
    return [delivery.message.id for delivery in await receiver.receive(queue, messages_max=100)]


async def counts(receiver: Receiver, queue: str = QUEUE) -> Mapping[str, int]:
    return dict(await receiver.counts(queue))


def counted(*, active: int = 0, scheduled: int = 0, dead: int = 0) -> Mapping[str, int]:
    return {"active": active, "scheduled": scheduled, "dead": dead}


async def test_a_message_arrives_whole_under_a_lock(bus_under_test: BusUnderTest) -> None:
    bus, receiver, now = bus_under_test.bus, bus_under_test.receiver, bus_under_test.now()
    sent = Message("m-1", "PaymentReported", b'{"n":"\xc3\xa4"}', "corr-1", None, {"attempt": 2, "note": "für"})
    await bus.publish(QUEUE, [sent])

    delivery = await receive_one(receiver)

    assert delivery.message == sent
    assert (delivery.queue, delivery.delivery_count) == (QUEUE, 1)
    assert abs(delivery.enqueued_at - now) < timedelta(seconds=5)
    assert abs(delivery.locked_until - now - timedelta(seconds=SETTINGS.lock_seconds)) < timedelta(seconds=5)
    assert await received(receiver) == []
    assert await counts(receiver) == counted(active=1)

    await receiver.complete(delivery)
    assert await counts(receiver) == counted()


async def test_messages_come_oldest_first_with_growing_numbers(bus: Bus, receiver: Receiver) -> None:
    await bus.publish(QUEUE, [message("a"), message("b")])
    await bus.publish("expiries", [message("elsewhere")])
    await bus.publish(QUEUE, [message("c")])

    first = await receiver.receive(QUEUE, messages_max=2)
    second = await receiver.receive(QUEUE, messages_max=2)

    assert [delivery.message.id for delivery in [*first, *second]] == ["a", "b", "c"]
    numbers = [delivery.sequence_number for delivery in [*first, *second]]
    assert numbers == sorted(set(numbers))
    assert len({delivery.lock_token for delivery in [*first, *second]}) == 3


async def test_no_message_is_handed_to_two_receivers(bus: Bus, receiver: Receiver) -> None:
    await bus.publish(QUEUE, [message(f"m{n}") for n in range(60)])

    batches = await asyncio.gather(*(receiver.receive(QUEUE, messages_max=7) for _ in range(12)))

    ids = [delivery.message.id for batch in batches for delivery in batch]
    assert len(ids) == len(set(ids)) == 60


async def test_a_topic_forwards_to_the_queues_whose_subscription_names_the_type(bus: Bus, receiver: Receiver) -> None:
    await bus.publish("events", [message("paid", "OrderPaid"), message("refused", "OrderRefused")])
    await bus.publish("events", [message("unheard", "NobodyListens")])

    queues = ("stock", "notifications", "insights", "refunds", QUEUE)
    found = await asyncio.gather(*(received(receiver, queue) for queue in queues))
    assert dict(zip(queues, found, strict=True)) == {
        "stock": ["paid", "refused"], "notifications": ["paid"], "insights": ["paid"], "refunds": [], QUEUE: [],
    }  # fmt: skip


async def test_each_forwarded_copy_is_settled_on_its_own(bus: Bus, receiver: Receiver) -> None:
    await bus.publish("events", [message("paid", "OrderPaid")])
    await receiver.complete(await receive_one(receiver, "stock"))
    await receiver.abandon(await receive_one(receiver, "notifications"))

    assert await counts(receiver, "stock") == counted()
    assert (await receive_one(receiver, "notifications")).delivery_count == 2
    assert (await receive_one(receiver, "insights")).delivery_count == 1


@pytest.mark.parametrize("entity", [QUEUE, "events"])
async def test_a_repeated_id_is_dropped_within_the_window_only(bus_under_test: BusUnderTest, entity: str) -> None:
    bus, receiver = bus_under_test.bus, bus_under_test.receiver
    queue = QUEUE if entity == QUEUE else "stock"
    first = message("m-1", "OrderPaid")
    await bus.publish(entity, [first, message("m-1", "OrderPaid", b"{}"), message("m-2", "OrderPaid")])
    await bus.publish(entity, [first])

    deliveries = await receiver.receive(queue, messages_max=10)
    assert [delivery.message.id for delivery in deliveries] == ["m-1", "m-2"]
    assert deliveries[0].message == first
    for delivery in deliveries:
        await receiver.complete(delivery)
    await bus.publish(entity, [first])
    assert await received(receiver, queue) == []

    await bus_under_test.pass_time(SETTINGS.duplicate_detection_minutes * 60 + 1)
    await bus.publish(entity, [first])
    assert await received(receiver, queue) == ["m-1"]


async def test_windows_belong_to_the_entity_published_to(bus: Bus, receiver: Receiver) -> None:
    await bus.publish("events", [message("m-1", "OrderPaid")])
    await bus.publish(
        "stock", [message("m-1", "OrderPaid")]
    )  # the forwarded copy did not use up the queue's own window
    await bus.publish("expiries", [message("m-1", "OrderPaid")])

    assert await received(receiver, "stock") == ["m-1", "m-1"]
    assert await received(receiver, "expiries") == ["m-1"]


async def test_a_scheduled_message_waits_for_its_moment(bus_under_test: BusUnderTest) -> None:
    bus, receiver, now = bus_under_test.bus, bus_under_test.receiver, bus_under_test.now()
    due = now + timedelta(seconds=60)
    later = Message("later", "ExpireOrder", b"{}", due_at=due)
    await bus.publish(QUEUE, [later, Message("past", "ExpireOrder", b"{}", due_at=now - timedelta(days=1))])
    assert await received(receiver) == ["past"]
    assert await counts(receiver) == counted(active=1, scheduled=1)
    await bus.publish(QUEUE, [message("earlier-in-line")])

    await bus_under_test.pass_time(61)

    assert await counts(receiver) == counted(active=3)
    first, second, third = await receiver.receive(QUEUE, messages_max=10)
    assert [first.message.id, second.message.id] == ["past", "earlier-in-line"]
    assert third.message == later
    assert third.enqueued_at - due < timedelta(seconds=5)
    assert third.delivery_count == 1


async def test_a_scheduled_event_reaches_its_queues_at_its_moment(bus_under_test: BusUnderTest) -> None:
    bus, receiver = bus_under_test.bus, bus_under_test.receiver
    due = bus_under_test.now() + timedelta(seconds=60)
    await bus.publish("events", [Message("m", "OrderRefunding", b"{}", due_at=due)])
    assert await received(receiver, "refunds") == []

    await bus_under_test.pass_time(61)

    assert await received(receiver, "refunds") == ["m"]


async def test_a_repeated_scheduled_message_is_dropped_too(bus_under_test: BusUnderTest) -> None:
    bus, receiver = bus_under_test.bus, bus_under_test.receiver
    due = bus_under_test.now() + timedelta(seconds=60)
    for _ in range(2):
        await bus.publish(QUEUE, [Message("m", "ExpireOrder", b"{}", due_at=due)])

    assert await counts(receiver) == counted(scheduled=1)


async def test_an_abandoned_message_is_back_at_once_in_its_place(bus: Bus, receiver: Receiver) -> None:
    await bus.publish(QUEUE, [message("a"), message("b")])
    first = await receive_one(receiver)

    await receiver.abandon(first)

    again = await receive_one(receiver)
    assert (again.message, again.delivery_count, again.sequence_number) == (first.message, 2, first.sequence_number)
    assert again.lock_token != first.lock_token


async def test_a_lapsed_lock_gives_the_message_back_and_the_former_receiver_has_lost_it(
    bus_under_test: BusUnderTest,
) -> None:
    bus, receiver = bus_under_test.bus, bus_under_test.receiver
    await bus.publish(QUEUE, [message()])
    lost = await receive_one(receiver)
    await bus_under_test.pass_time(SETTINGS.lock_seconds + 1)

    for settle in settlements(receiver, lost):
        with pytest.raises(LockLost):
            await settle
    again = await receive_one(receiver)
    for settle in settlements(receiver, lost):
        with pytest.raises(LockLost):
            await settle

    assert again.delivery_count == 2
    await receiver.complete(again)
    assert await counts(receiver) == counted()


def settlements(receiver: Receiver, delivery: Delivery) -> Iterator[Awaitable[object]]:
    yield receiver.complete(delivery)
    yield receiver.abandon(delivery)
    yield receiver.renew(delivery)
    yield receiver.dead_letter(delivery, reason="r", description="d")


async def test_a_message_is_settled_once(bus: Bus, receiver: Receiver) -> None:
    await bus.publish(QUEUE, [message()])
    delivery = await receive_one(receiver)
    await receiver.complete(delivery)

    for settle in settlements(receiver, delivery):
        with pytest.raises(LockLost):
            await settle
    assert await counts(receiver) == counted()


async def test_a_renewed_lock_holds_for_another_duration(bus_under_test: BusUnderTest) -> None:
    bus, receiver = bus_under_test.bus, bus_under_test.receiver
    await bus.publish(QUEUE, [message()])
    delivery = await receive_one(receiver)
    await bus_under_test.pass_time(SETTINGS.lock_seconds * 0.8)

    until = await receiver.renew(delivery)

    lasting = until - bus_under_test.now()
    assert abs(lasting - timedelta(seconds=SETTINGS.lock_seconds)) < timedelta(seconds=5)
    await bus_under_test.pass_time(SETTINGS.lock_seconds * 0.8)
    assert await received(receiver) == []
    await receiver.complete(delivery)


async def test_after_the_last_allowed_delivery_an_abandoned_message_is_dead(bus_under_test: BusUnderTest) -> None:
    bus, receiver = bus_under_test.bus, bus_under_test.receiver
    sent = Message("m-1", "PaymentReported", b'{"n":1}', "corr", None, {"attempt": 1})
    await bus.publish(QUEUE, [sent])
    for attempt in range(1, SETTINGS.max_delivery_count + 1):
        delivery = await receive_one(receiver)
        assert delivery.delivery_count == attempt
        await receiver.abandon(delivery)

    assert await received(receiver) == []
    (dead,) = (await bus_under_test.dead_letters.peek_dead_letters(QUEUE)).letters
    assert (dead.message, dead.queue, dead.reason) == (sent, QUEUE, "MaxDeliveryCountExceeded")
    assert dead.delivery_count == SETTINGS.max_delivery_count
    assert dead.sequence_number > 0
    assert abs(dead.dead_lettered_at - bus_under_test.now()) < timedelta(seconds=5)
    assert await counts(receiver) == counted(dead=1)


async def test_after_the_last_allowed_delivery_a_lapsed_message_is_dead(bus_under_test: BusUnderTest) -> None:
    bus, receiver = bus_under_test.bus, bus_under_test.receiver
    await bus.publish(QUEUE, [message()])
    for _ in range(SETTINGS.max_delivery_count):
        await receive_one(receiver)
        await bus_under_test.pass_time(SETTINGS.lock_seconds + 1)

    assert await counts(receiver) == counted(dead=1)
    assert await received(receiver) == []
    (dead,) = (await bus_under_test.dead_letters.peek_dead_letters(QUEUE)).letters
    assert dead.reason == "MaxDeliveryCountExceeded"


@pytest.mark.parametrize(
    ("entity", "refused"),
    [
        ("nowhere", message("x")),
        (QUEUE, message("x", body=b"x" * (MESSAGE_BYTES_MAX + 1))),
        (QUEUE, Message("x", "T", b"", properties={"p": "x" * MESSAGE_BYTES_MAX})),
        ("events", message("x", "OrderPaid", b"x" * (MESSAGE_BYTES_MAX + 1))),
        (QUEUE, message("")),
        (QUEUE, message("x" * 129)),
    ],
)
async def test_one_message_that_can_never_be_accepted_stops_the_whole_batch(
    bus: Bus, receiver: Receiver, entity: str, refused: Message
) -> None:
    with pytest.raises(MessageRefused):
        await bus.publish(entity, [message("good", "OrderPaid"), refused])

    found = await asyncio.gather(*(counts(receiver, queue.name) for queue in topology().queues))
    assert [*found] == [counted() for _ in topology().queues]
    await bus.publish(QUEUE, [message("good")])  # its id was not spent either
    assert await received(receiver) == ["good"]


async def test_publishing_nothing_does_nothing(bus: Bus, receiver: Receiver) -> None:
    await bus.publish(QUEUE, [])

    assert await counts(receiver) == counted()


async def test_who_received_nothing_and_waits_is_woken_by_the_next_message(bus: Bus, receiver: Receiver) -> None:
    async def first_message(queue: str) -> str:
        while not (found := await received(receiver, queue)):
            await receiver.wait(30)
        return found[0]

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        waiters = [group.create_task(first_message(queue)) for queue in ["stock", "notifications"]]
        await asyncio.sleep(0.05)
        await bus.publish("events", [message("paid", "OrderPaid")])

    assert [waiter.result() for waiter in waiters] == ["paid", "paid"]


async def test_waiting_ends_when_a_message_is_due_given_back_or_its_lock_lapses(bus_under_test: BusUnderTest) -> None:
    bus, receiver = bus_under_test.bus, bus_under_test.receiver
    due = bus_under_test.now() + timedelta(seconds=5)
    await bus.publish(QUEUE, [Message("m", "ExpireOrder", b"{}", due_at=due)])

    async def next_delivery() -> Delivery:
        async with asyncio.timeout(20):
            while not (found := await receiver.receive(QUEUE, messages_max=1)):
                await receiver.wait(30)
            return found[0]

    async with asyncio.TaskGroup() as group:
        task = group.create_task(next_delivery())
        await asyncio.sleep(0.1)
        assert not task.done()
        await bus_under_test.pass_time(6)
    assert task.result().delivery_count == 1

    async with asyncio.TaskGroup() as group:
        second = group.create_task(next_delivery())
        await asyncio.sleep(0.1)
        await receiver.abandon(task.result())
    assert second.result().delivery_count == 2

    async with asyncio.TaskGroup() as group:
        third = group.create_task(next_delivery())
        await asyncio.sleep(0.1)
        assert not third.done()
        await bus_under_test.pass_time(SETTINGS.lock_seconds + 1)
    assert third.result().delivery_count == 3


async def test_waiting_ends_with_the_timeout(receiver: Receiver) -> None:
    async with asyncio.timeout(20):
        await receiver.wait(0.01)
        await receiver.wait(0.01)
