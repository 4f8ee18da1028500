"""The rules of Service Bus that the emulator applies, through Azure's SDK; each cites the page that states it.

Pages are below https://learn.microsoft.com/azure/service-bus-messaging/
"""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import (
    NEXT_AVAILABLE_SESSION,
    ServiceBusMessage,
    ServiceBusMessageState,
    ServiceBusReceivedMessage,
    ServiceBusReceiveMode,
    ServiceBusSessionFilter,
    ServiceBusSubQueue,
)
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageNotFoundError,
    MessageSizeExceededError,
    MessagingEntityNotFoundError,
    ServiceBusError,
)

from shared.topology import topology
from tests.emulators.servicebus import Namespace, namespace

QUEUE = "payments"
SETTINGS = topology().queue(QUEUE)
WAIT_SECONDS = 60.0  # for what is there, and comes at once


@pytest.fixture
async def space(tmp_path: Path) -> AsyncIterator[Namespace]:
    async with namespace(tmp_path) as found:
        yield found


@pytest.fixture
async def sdk(space: Namespace) -> AsyncIterator[ServiceBusClient]:
    async with space.sdk() as client:
        yield client


async def send(sdk: ServiceBusClient, *messages: ServiceBusMessage, entity: str = QUEUE) -> None:
    async with sdk.get_queue_sender(entity) as sender:
        await sender.send_messages(list(messages))


async def receive(receiver: ServiceBusReceiver) -> ServiceBusReceivedMessage:
    [message] = await receiver.receive_messages(1, max_wait_time=WAIT_SECONDS)
    return message


def message(id_: str = "m", **more: Any) -> ServiceBusMessage:
    return ServiceBusMessage(b"{}", message_id=id_, **more)


async def test_whatever_a_message_carries_arrives_as_it_was_sent(sdk: ServiceBusClient) -> None:
    """messages-payloads: the broker properties and the application's, with their types."""
    known = uuid.uuid4()
    sent = ServiceBusMessage(
        b"\x00\xff",
        message_id="m",
        content_type="application/json",
        correlation_id="c",
        subject="s",
        to="t",
        reply_to="r",
        reply_to_session_id="rs",
        partition_key="pk",
        time_to_live=timedelta(hours=1),
        application_properties={"text": "für", "number": 7, "real": 1.5, "yes": True, "uuid": known, "bytes": b"raw"},
    )
    await send(sdk, sent)

    async with sdk.get_queue_receiver(QUEUE) as receiver:
        got = await receive(receiver)

    assert b"".join(got.body) == b"\x00\xff"
    names = ("message_id", "content_type", "correlation_id", "subject", "to", "reply_to", "reply_to_session_id")
    assert [getattr(got, name) for name in names] == [getattr(sent, name) for name in names]
    assert (got.partition_key, got.time_to_live) == ("pk", timedelta(hours=1))
    assert got.application_properties == {
        b"text": "für".encode(),
        b"number": 7,
        b"real": 1.5,
        b"yes": True,
        b"uuid": known,
        b"bytes": b"raw",
    }


async def test_messages_are_numbered_and_dated_as_they_come(space: Namespace, sdk: ServiceBusClient) -> None:
    """message-sequencing: ever growing numbers, the broker's own time of arrival."""
    await send(sdk, message("a"), message("b"))

    async with sdk.get_queue_receiver(QUEUE) as receiver:
        got = await receiver.receive_messages(2, max_wait_time=WAIT_SECONDS)

    numbers = [each.sequence_number or 0 for each in got]
    assert numbers == sorted(set(numbers))
    assert {each.enqueued_time_utc for each in got} == {space.clock()}


@pytest.mark.parametrize(("entity", "queue"), [(QUEUE, QUEUE), ("events", "stock")])
async def test_a_repeated_id_is_taken_and_dropped_within_the_window(
    space: Namespace, sdk: ServiceBusClient, entity: str, queue: str
) -> None:
    """duplicate-detection: the send succeeds; a message with an id seen in the window is ignored."""
    paid = {"type": "OrderPaid"}
    await send(sdk, message("m", application_properties=paid), message("m", application_properties=paid), entity=entity)
    await send(sdk, message("m", application_properties=paid), entity=entity)
    assert (await space.broker.engine.counts(queue))["active"] == 1

    await space.clock.pass_time(SETTINGS.duplicate_detection_minutes * 60 + 1)
    await send(sdk, message("m", application_properties=paid), entity=entity)
    assert (await space.broker.engine.counts(queue))["active"] == 2


async def test_messages_without_an_id_are_no_duplicates(space: Namespace, sdk: ServiceBusClient) -> None:
    """duplicate-detection: it goes by the MessageId the application gives."""
    await send(sdk, ServiceBusMessage(b"{}"), ServiceBusMessage(b"{}"))

    assert (await space.broker.engine.counts(QUEUE))["active"] == 2


async def test_a_lock_lasts_its_duration_and_is_lost_then(space: Namespace, sdk: ServiceBusClient) -> None:
    """message-transfers-locks-settlement#peeklock: once the lock is lost the message cannot be settled any more."""
    await send(sdk, message())
    async with sdk.get_queue_receiver(QUEUE) as receiver:
        got = await receive(receiver)
        assert got.locked_until_utc == space.clock() + timedelta(seconds=SETTINGS.lock_seconds)
        await space.clock.pass_time(SETTINGS.lock_seconds)

        for settle in (receiver.complete_message, receiver.abandon_message, receiver.renew_message_lock):
            with pytest.raises(MessageLockLostError):
                await settle(got)

        assert (await receive(receiver)).delivery_count == 1


async def test_a_renewed_lock_begins_anew(space: Namespace, sdk: ServiceBusClient) -> None:
    """message-transfers-locks-settlement#renew-locks"""
    await send(sdk, message())
    async with sdk.get_queue_receiver(QUEUE) as receiver:
        got = await receive(receiver)
        await space.clock.pass_time(SETTINGS.lock_seconds - 1)

        until = await receiver.renew_message_lock(got)

        assert until == space.clock() + timedelta(seconds=SETTINGS.lock_seconds)
        await space.clock.pass_time(SETTINGS.lock_seconds - 1)
        await receiver.complete_message(got)
    assert (await space.broker.engine.counts(QUEUE))["active"] == 0


async def test_a_lock_outlives_the_connection_it_was_given_on(space: Namespace, sdk: ServiceBusClient) -> None:
    """service-bus-amqp-request-response#message-operations: settled by its token, on the management node."""
    await send(sdk, message())
    async with sdk.get_queue_receiver(QUEUE) as receiver:
        got = await receive(receiver)
        space.broker.drop_all()
        with pytest.raises(ServiceBusError):  # the SDK finds the connection gone, and opens another
            await receiver.peek_messages()

        await receiver.peek_messages()
        await receiver.complete_message(got)
    assert (await space.broker.engine.counts(QUEUE))["active"] == 0


async def test_deliveries_are_counted_and_after_the_last_the_message_is_dead(sdk: ServiceBusClient) -> None:
    """service-bus-dead-letter-queues#maximum-delivery-count: MaxDeliveryCountExceeded."""
    await send(sdk, message())
    async with sdk.get_queue_receiver(QUEUE) as receiver:
        for earlier in range(SETTINGS.max_delivery_count):
            got = await receive(receiver)
            assert got.delivery_count == earlier
            await receiver.abandon_message(got)
        assert await receiver.receive_messages(1, max_wait_time=0.2) == []

    async with sdk.get_queue_receiver(QUEUE, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
        [letter] = await dead.peek_messages()
    assert letter.dead_letter_reason == "MaxDeliveryCountExceeded"
    assert letter.delivery_count == SETTINGS.max_delivery_count


async def test_a_message_put_aside_carries_its_reason_as_properties(sdk: ServiceBusClient) -> None:
    """service-bus-dead-letter-queues#application-level-dead-lettering: DeadLetterReason, DeadLetterErrorDescription."""
    await send(sdk, message(application_properties={"mine": 1}))
    async with sdk.get_queue_receiver(QUEUE) as receiver:
        await receiver.dead_letter_message(await receive(receiver), reason="Why", error_description="because")

    async with sdk.get_queue_receiver(QUEUE, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
        letter = await receive(dead)
    assert letter.application_properties == {
        b"mine": 1,
        b"DeadLetterReason": b"Why",
        b"DeadLetterErrorDescription": b"because",
    }


async def test_a_dead_letter_stays_until_it_is_completed(space: Namespace, sdk: ServiceBusClient) -> None:
    """service-bus-dead-letter-queues: no automatic clean-up; peek-lock delivery as of any queue."""
    await send(sdk, message())
    async with sdk.get_queue_receiver(QUEUE) as receiver:
        await receiver.dead_letter_message(await receive(receiver))
    async with sdk.get_queue_receiver(QUEUE, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
        for _ in range(SETTINGS.max_delivery_count + 1):
            await dead.abandon_message(await receive(dead))
        held = await receive(dead)
        assert await dead.receive_messages(1, max_wait_time=0.2) == []
        await space.clock.pass_time(SETTINGS.lock_seconds + 1)
        with pytest.raises(MessageLockLostError):
            await dead.complete_message(held)
        again = await receive(dead)

        await dead.complete_message(again)

        assert again.message_id == "m"
        assert await dead.peek_messages(sequence_number=1) == []


async def test_what_a_receiver_releases_was_not_delivered(space: Namespace, sdk: ServiceBusClient) -> None:
    """The SDK releases what came too late for a call: its delivery count must not grow by that.

    service-bus-amqp-protocol-guide#receive: released makes the message available again.
    """
    async with sdk.get_queue_receiver(QUEUE) as receiver:
        assert await receiver.receive_messages(1, max_wait_time=0.2) == []  # its credit stays with the bus
        await send(sdk, message())
        while (await space.broker.engine.peek(QUEUE, dead=False, first=1, limit=1))[0].delivery_count == 0:
            await receiver.peek_messages()

    async with sdk.get_queue_receiver(QUEUE) as other:
        assert (await receive(other)).delivery_count == 0


async def test_a_scheduled_message_joins_the_queue_at_its_time(space: Namespace, sdk: ServiceBusClient) -> None:
    """message-sequencing#scheduled-messages: not receivable before, then enqueued at that time; browsing shows it."""
    due = space.clock() + timedelta(minutes=5)
    await send(sdk, message(scheduled_enqueue_time_utc=due))
    async with sdk.get_queue_receiver(QUEUE) as receiver:
        assert await receiver.receive_messages(1, max_wait_time=0.2) == []
        [seen] = await receiver.peek_messages()
        assert (seen.state, seen.scheduled_enqueue_time_utc) == (ServiceBusMessageState.SCHEDULED, due)

        await space.clock.pass_time(301)

        got = await receive(receiver)
        assert (got.enqueued_time_utc, got.delivery_count) == (due, 0)
        assert (got.sequence_number or 0) > (seen.sequence_number or 0)


async def test_a_scheduled_message_can_be_cancelled_by_its_number_once(space: Namespace, sdk: ServiceBusClient) -> None:
    """message-sequencing#scheduled-messages: scheduling answers the number by which it is cancelled."""
    due = datetime.now(UTC) + timedelta(hours=1)
    async with sdk.get_queue_sender(QUEUE) as sender:
        [kept, dropped] = await sender.schedule_messages([message("kept"), message("dropped")], due)

        await sender.cancel_scheduled_messages(dropped)

        with pytest.raises(MessageNotFoundError):
            await sender.cancel_scheduled_messages([kept, dropped])  # neither, as one is gone
    [left] = await space.broker.engine.peek(QUEUE, dead=False, first=1, limit=10)
    assert left.sequence_number == kept


async def test_browsing_shows_everything_and_locks_nothing(sdk: ServiceBusClient) -> None:
    """message-browsing: locked and scheduled messages too, in order, from any number on."""
    later = datetime.now(UTC) + timedelta(hours=1)
    await send(sdk, message("a"), message("b"), message("c", scheduled_enqueue_time_utc=later))
    async with sdk.get_queue_receiver(QUEUE) as receiver:
        first = await receive(receiver)

        seen = await receiver.peek_messages(10, sequence_number=1)
        from_second = await receiver.peek_messages(10, sequence_number=(first.sequence_number or 0) + 1)

        assert [each.message_id for each in seen] == ["a", "b", "c"]
        assert [each.message_id for each in from_second] == ["b", "c"]
        assert (await receive(receiver)).message_id == "b"


async def test_a_topics_messages_go_to_the_queues_its_subscriptions_forward_to(
    space: Namespace, sdk: ServiceBusClient
) -> None:
    """service-bus-auto-forwarding, topic-filters: by the application property `type`."""
    async with sdk.get_topic_sender("events") as sender:
        await sender.send_messages(message("paid", application_properties={"type": "OrderPaid"}))
        await sender.send_messages(message("other", application_properties={"type": "NobodyListens"}))

    for queue in topology().queues:
        wanted = [
            each for each in topology().subscriptions if each.forward_to == queue.name and "OrderPaid" in each.types
        ]
        assert (await space.broker.engine.counts(queue.name))["active"] == len(wanted)


async def test_received_and_deleted_means_gone(space: Namespace, sdk: ServiceBusClient) -> None:
    """message-transfers-locks-settlement#receiveanddelete"""
    await send(sdk, message())
    async with sdk.get_queue_receiver(QUEUE, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE) as receiver:
        assert (await receive(receiver)).message_id == "m"

    assert (await space.broker.engine.counts(QUEUE))["active"] == 0


async def test_a_message_above_the_tiers_size_is_refused(space: Namespace, sdk: ServiceBusClient) -> None:
    """service-bus-quotas: 256 KB on the Standard tier, for a message and for a batch."""
    async with sdk.get_queue_sender(QUEUE) as sender:
        batch = await sender.create_message_batch()
        assert batch.max_size_in_bytes == 262_144
        with pytest.raises(MessageSizeExceededError):
            batch.add_message(ServiceBusMessage(b"x" * 262_144))
        batch.add_message(ServiceBusMessage(b"x" * 261_000))
        await sender.send_messages(batch)

    assert (await space.broker.engine.counts(QUEUE))["active"] == 1


async def test_whoever_sends_too_much_at_once_learns_how_much_it_was_and_how_much_may_be(
    space: Namespace, sdk: ServiceBusClient
) -> None:
    """service-bus-quotas: 256 KB; a single message is not measured by the SDK, so the bus says it."""
    async with sdk.get_queue_sender(QUEUE) as sender:
        with pytest.raises(MessageSizeExceededError, match=r"size:300\d{3} bytes\) exceeds the limit \(262144 bytes\)"):
            await sender.send_messages(ServiceBusMessage(b"x" * 300_000))
    await send(sdk, message())  # by another link: the one that brought it has ended

    assert (await space.broker.engine.counts(QUEUE))["active"] == 1


@pytest.mark.parametrize("session", ["7", NEXT_AVAILABLE_SESSION])
async def test_sessions_are_refused_by_name(sdk: ServiceBusClient, session: str | ServiceBusSessionFilter) -> None:
    """message-sessions: not emulated, so that nobody takes the whole queue for a session of it."""
    with pytest.raises(ServiceBusError, match=r"Sessions are not emulated.*amqp:not-implemented"):
        async with sdk.get_queue_receiver(QUEUE, session_id=session):
            pass  # opening it is what fails


async def test_an_entity_that_does_not_exist_is_not_found(sdk: ServiceBusClient) -> None:
    """service-bus-messaging-exceptions: MessagingEntityNotFound."""
    with pytest.raises(MessagingEntityNotFoundError):
        await send(sdk, message(), entity="nowhere")


async def test_a_busy_server_says_so(space: Namespace, sdk: ServiceBusClient) -> None:
    """service-bus-throttling: ServerBusy; nothing was kept."""
    from azure.servicebus.exceptions import ServiceBusServerBusyError

    from local.emulators.servicebus.faults import Fault

    space.broker.faults.add(Fault(kind="busy"))
    with pytest.raises(ServiceBusServerBusyError):
        await send(sdk, message())

    await send(sdk, message())
    assert (await space.broker.engine.counts(QUEUE))["active"] == 1
