"""Service Bus as our bus: https://learn.microsoft.com/azure/service-bus-messaging/

No queue of ours has sessions or partitions, and nothing relies on order across messages: consumers are idempotent by
state. So messages carry no session id and no partition key. Least privilege: Azure Service Bus Data Sender for
publishing, Data Receiver for dead letters; nothing here needs the right to manage entities.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from shared.bus.checks import refuse_unacceptable
from shared.bus.port import DEAD_LETTERS_MAX, DeadLetterPage, Message, MessageRefused, Replay
from shared.bus.servicebus_client import KEEP_ALIVE_SECONDS, Access, Client
from shared.telemetry import count, sent_to
from shared.topology import Topology

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.servicebus import ServiceBusMessageBatch
    from azure.servicebus.aio import ServiceBusSender


class ServiceBus:
    """A `ManagedBus` on a Service Bus namespace."""

    def __init__(self, client: Client, topology: Topology) -> None:
        """Nothing is opened before the first call.

        :param topology: the topic and queues of the namespace
        """
        self._client = client
        self._entities = {queue.name for queue in topology.queues} | {topology.topic.name}
        self._queues = tuple(queue.name for queue in topology.queues)

    @classmethod
    def connect(
        cls,
        topology: Topology,
        *,
        connection_string: str = "",
        namespace: str = "",
        credential: "Callable[[], AsyncTokenCredential] | None" = None,
        keep_alive_seconds: int = KEEP_ALIVE_SECONDS,
        **options: Any,
    ) -> Self:
        """A bus on the namespace that a connection string or a name and a credential lead to.

        :param options: further arguments of the SDK's client
        """
        access = Access(connection_string, namespace, credential, keep_alive_seconds, options)
        return cls(Client(access), topology)

    @property
    def client(self) -> Client:
        """The links that are held open."""
        return self._client

    async def publish(self, entity: str, messages: Sequence[Message]) -> None:
        """Send to a topic or a queue, durably: on return the bus has them.

        Messages are checked and packed before the first is sent. More than fit into one batch (256 KB) go in several:
        then `BusUnavailable` can mean that some of them have been accepted.

        :raises MessageRefused: one can never be accepted; none was sent
        :raises BusUnavailable: no answer
        """
        if entity not in self._entities:
            raise MessageRefused(f"There is no topic or queue {entity!r}.")
        for message in messages:
            refuse_unacceptable(message)
        if not messages:
            return
        async with self._client.sender(entity).use() as sender:
            for batch in await _packed(sender, messages):
                await sender.send_messages(batch)
        count("bus_messages", len(messages))
        sent_to(entity, len(messages))

    async def dead_counts(self) -> Mapping[str, int]:
        """See `DeadLetters.dead_counts`: counted by peeking, up to `DEAD_COUNTED_MAX` in each queue."""
        from shared.bus import servicebus_dead

        return await servicebus_dead.counts(self._client, self._queues)

    async def peek_dead_letters(
        self,
        queue: str,
        *,
        limit: int = DEAD_LETTERS_MAX,
        after: int = 0,
        reason: str | None = None,
        type_name: str | None = None,
    ) -> DeadLetterPage:
        """See `DeadLetters.peek_dead_letters`; the bus cannot filter, so a page is made of several peeks."""
        from shared.bus import servicebus_dead

        self._refuse_impossible(queue, limit)
        if limit < 1:
            raise ValueError("A page has at least one dead letter.")
        wanted = servicebus_dead.Wanted(limit, after, reason, type_name)
        return await servicebus_dead.page(self._client, queue, wanted)

    async def replay(self, queue: str, replays: Sequence[Replay]) -> Sequence[int]:
        """See `DeadLetters.replay`."""
        from shared.bus import servicebus_dead

        self._refuse_impossible(queue, len(replays))
        by_number = {each.sequence_number: each for each in replays}

        async def send_copies(letters: Mapping[int, Message]) -> None:
            await self.publish(queue, [copy_of(letter, by_number[number]) for number, letter in letters.items()])

        def check(number: int, letter: Message) -> None:
            refuse_unacceptable(copy_of(letter, by_number[number]))

        taking = servicebus_dead.Taking(self._client, queue, before=send_copies, check=check)
        return await taking.take(by_number)

    async def discard(self, queue: str, sequence_numbers: Sequence[int]) -> Sequence[int]:
        """See `DeadLetters.discard`."""
        from shared.bus import servicebus_dead

        self._refuse_impossible(queue, len(sequence_numbers))
        return await servicebus_dead.Taking(self._client, queue).take(sequence_numbers)

    async def close(self) -> None:
        """Close every link."""
        await self._client.close()

    def _refuse_impossible(self, queue: str, number: int) -> None:
        if queue not in self._queues:
            raise ValueError(f"There is no queue {queue!r}.")
        if number > DEAD_LETTERS_MAX:
            raise ValueError(f"One call takes at most {DEAD_LETTERS_MAX} dead letters, not {number}.")


def copy_of(letter: Message, replay: Replay) -> Message:
    """What is sent in place of a dead letter."""
    return Message(replay.message_id, letter.type, letter.body, letter.correlation_id, replay.due_at, replay.properties)


async def _packed(sender: "ServiceBusSender", messages: Sequence[Message]) -> "list[ServiceBusMessageBatch]":
    """The messages in as few batches as they need.

    :raises MessageSizeExceededError: one does not fit into a batch of its own
    """
    from azure.servicebus.exceptions import MessageSizeExceededError

    from shared.bus.servicebus_messages import outgoing

    batches = [await sender.create_message_batch()]
    for message in messages:
        try:
            batches[-1].add_message(outgoing(message))
        except MessageSizeExceededError:
            if len(batches[-1]) == 0:
                raise
            batches.append(await sender.create_message_batch())
            batches[-1].add_message(outgoing(message))
    return batches
