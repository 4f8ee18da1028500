"""The receiving half of Service Bus for the local host; on Azure the Functions host does this.

One link per queue is held open, since opening one takes the SDK half a second. Who waits for a message listens on it
with one credit, so nothing is polled while nothing comes.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from azure.servicebus import ServiceBusMessageState, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusReceiver as SdkReceiver

from local.host.servicebus_credit import Credit
from shared.bus import servicebus_dead
from shared.bus.port import BusError, Delivery, LockLost
from shared.bus.servicebus_client import Client, Link
from shared.bus.servicebus_dead import PEEKED_MAX
from shared.bus.servicebus_messages import enqueued_at, message_of, number_of
from shared.topology import Topology

RECEIVE_MAX: Final = 256  # messages one call may lock
ARRIVAL_SECONDS: Final = 0.05
_WATCH_SECONDS: Final = 30.0  # how long one listening for news lasts; it is begun again as long as anybody waits
_RETRY_SECONDS: Final = 0.5  # between tries to listen while the bus is away
_COUNTED_MAX: Final = 10_000
_HELD_MAX: Final = 10_000  # deliveries that are remembered until they are settled; of more, the oldest are forgotten


class ServiceBusReceiver:
    """A `Receiver` on a Service Bus namespace; one link per queue is held open.

    :param client: shared with the bus that publishes
    :param topology: the namespace's queues
    :param arrival_seconds: how long `receive` waits for a first message before it takes its credit back
    """

    def __init__(self, client: Client, topology: Topology, *, arrival_seconds: float = ARRIVAL_SECONDS) -> None:
        self._client = client
        self._waiters: set[asyncio.Future[None]] = set()
        self._lines = {
            queue.name: _Line(
                client,
                queue.name,
                news=self._news,
                is_waited_for=lambda: bool(self._waiters),
                arrival_seconds=arrival_seconds,
            )
            for queue in topology.queues
        }

    async def receive(self, queue: str, *, messages_max: int) -> Sequence[Delivery]:
        """Lock up to `messages_max` (1–256) due messages, oldest first; empty when there are none.

        :raises ValueError: no such queue, or an impossible number of messages
        :raises BusUnavailable: no answer
        """
        if not 1 <= messages_max <= RECEIVE_MAX:
            raise ValueError(f"One call receives 1 to {RECEIVE_MAX} messages, not {messages_max}.")
        return await self._line(queue).receive(messages_max)

    async def complete(self, delivery: Delivery) -> None:
        """The message is done and gone.

        :raises LockLost: the lock lapsed
        """
        async with self._line(delivery.queue).settling(delivery) as (sdk, received):
            await sdk.complete_message(received)

    async def abandon(self, delivery: Delivery) -> None:
        """Give the message back at once; after the last allowed delivery it is dead-lettered.

        :raises LockLost: the lock lapsed
        """
        async with self._line(delivery.queue).settling(delivery) as (sdk, received):
            await sdk.abandon_message(received)

    async def dead_letter(self, delivery: Delivery, *, reason: str, description: str) -> None:
        """Put the message aside for good, with a reason.

        :raises LockLost: the lock lapsed
        """
        async with self._line(delivery.queue).settling(delivery) as (sdk, received):
            await sdk.dead_letter_message(received, reason=reason, error_description=description)

    async def renew(self, delivery: Delivery) -> datetime:
        """Hold the lock for another lock duration; returns until when.

        :raises LockLost: the lock lapsed
        """
        line = self._line(delivery.queue)
        async with line.use() as sdk:
            until = await sdk.renew_message_lock(line.received(delivery))
        return until.astimezone(UTC)

    async def counts(self, queue: str) -> Mapping[str, int]:
        """How many messages are `active` (locked ones included), `scheduled` and `dead`: by peeking at all of them."""
        line = self._line(queue)
        (active, scheduled), dead = await asyncio.gather(line.counts(), servicebus_dead.count(self._client, queue))
        return {"active": active, "scheduled": scheduled, "dead": dead}

    async def wait(self, timeout_seconds: float) -> None:
        """Return when something may have become receivable, or after the timeout.

        Listens at the queues whose last `receive` found nothing: whoever waits has just been told so.
        """
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        for line in self._lines.values():
            line.watch_if_idle()
        try:
            await asyncio.wait([waiter], timeout=timeout_seconds)
        finally:
            self._waiters.discard(waiter)

    async def close(self) -> None:
        """Close every link."""
        await asyncio.gather(*(line.close() for line in self._lines.values()))

    def _line(self, queue: str) -> "_Line":
        try:
            return self._lines[queue]
        except KeyError:
            raise ValueError(f"There is no queue {queue!r}.") from None

    def _news(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


class _Line:
    """The link to one queue, used by one caller at a time.

    While somebody waits for a message, a task listens on it with one credit; whoever needs the link ends that task.
    Cancelling it is safe: the SDK keeps what it has read of a frame.

    :param news: called when a message came, or listening failed
    :param is_waited_for: whether anybody waits for news
    """

    def __init__(
        self,
        client: Client,
        queue: str,
        *,
        news: Callable[[], None],
        is_waited_for: Callable[[], bool],
        arrival_seconds: float,
    ) -> None:
        self._queue = queue
        self._arrival_seconds = arrival_seconds
        self._news = news
        self._is_waited_for = is_waited_for
        self._link: Link[SdkReceiver] = Link(lambda: client.sdk().get_queue_receiver(queue, prefetch_count=1))
        self._callers = 0  # while there are any, nobody begins to listen
        self._watching: asyncio.Task[None] | None = None
        self._idle = False
        self._held: dict[str, ServiceBusReceivedMessage] = {}

    @asynccontextmanager
    async def use(self) -> AsyncIterator[SdkReceiver]:
        """The open link, for one call.

        :raises BusError: what the SDK raised inside, translated
        """
        self._callers += 1
        try:
            await self._stop_watching()
            async with self._link.use() as sdk:
                await sdk.__aenter__()  # opens it, if it is not open
                yield sdk
        finally:
            self._callers -= 1
        if self._is_waited_for():
            self.watch_if_idle()

    @asynccontextmanager
    async def settling(self, delivery: Delivery) -> AsyncIterator[tuple[SdkReceiver, ServiceBusReceivedMessage]]:
        """The link, and a delivery as the SDK knows it; settled, it is forgotten.

        :raises LockLost: it was settled, or is too old
        """
        async with self.use() as sdk:
            yield sdk, self.received(delivery)
        self._held.pop(delivery.lock_token, None)

    def received(self, delivery: Delivery) -> ServiceBusReceivedMessage:
        """A delivery as the SDK knows it.

        :raises LockLost: it was settled, or is too old
        """
        try:
            return self._held[delivery.lock_token]
        except KeyError:
            raise LockLost(f"Message {delivery.message.id!r} of {self._queue!r} is settled already.") from None

    async def receive(self, most: int) -> Sequence[Delivery]:
        """Lock up to `most` messages."""
        watched = self._watching is not None and not self._watching.done()
        async with self.use() as sdk:
            credit = Credit(sdk)
            received = await credit.take(most, wait_seconds=0 if watched else self._arrival_seconds)
            self._idle = not received
        deliveries = [self._delivery(each) for each in received]
        for delivery, each in zip(deliveries, received, strict=True):
            self._remember(delivery.lock_token, each)
        return deliveries

    async def counts(self) -> tuple[int, int]:
        """How many messages are active and how many scheduled."""
        states: list[object] = []
        after = 0
        while len(states) < _COUNTED_MAX:
            async with self.use() as sdk:
                peeked = await sdk.peek_messages(PEEKED_MAX, sequence_number=after + 1)
            if not peeked:
                break
            states += [each.state for each in peeked]
            after = number_of(peeked[-1])
        scheduled = states.count(ServiceBusMessageState.SCHEDULED)
        return len(states) - scheduled, scheduled

    def watch_if_idle(self) -> None:
        """Listen for the next message, if the last call found none."""
        if self._idle and self._callers == 0 and self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Close the link."""
        await self._stop_watching()
        await self._link.close()

    async def _watch(self) -> None:
        try:
            async with self._link.use(2 * _WATCH_SECONDS) as sdk:
                await sdk.__aenter__()
                try:
                    await Credit(sdk).first(_WATCH_SECONDS)
                except asyncio.CancelledError:
                    return  # somebody needs the link; what comes for the credit is buffered for the next `receive`
        except BusError:
            await asyncio.sleep(_RETRY_SECONDS)  # the next `receive` says what is wrong
        self._news()

    async def _stop_watching(self) -> None:
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.wait([watching])

    def _delivery(self, received: ServiceBusReceivedMessage) -> Delivery:
        assert received.locked_until_utc is not None
        return Delivery(
            message_of(received),
            self._queue,
            str(received.lock_token),
            (received.delivery_count or 0) + 1,  # Service Bus counts the earlier ones
            number_of(received),
            enqueued_at(received),
            received.locked_until_utc.astimezone(UTC),
        )

    def _remember(self, lock_token: str, received: ServiceBusReceivedMessage) -> None:
        if len(self._held) >= _HELD_MAX:
            del self._held[next(iter(self._held))]
        self._held[lock_token] = received
