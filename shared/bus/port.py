"""What a message bus must do for us, in Service Bus' language.

Publishing is what the functions do themselves; receiving is the host's work (Azure's Service Bus trigger, or
`local/host` on a laptop), and its half of the contract is `Receiver`. What those who run the platform do with messages
that nobody could handle is `DeadLetters`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

MESSAGE_BYTES_MAX = (
    256 * 1024
)  # Service Bus Standard: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas
DEAD_LETTERS_MAX = 100  # dead letters a page has, and one call replays or discards
DEAD_COUNTED_MAX = 1000  # dead letters of a queue that are counted; this number stands for as many or more


class BusError(Exception):
    """Anything the bus refuses or fails at."""


class BusUnavailable(BusError):
    """No answer; the messages may or may not have been accepted. Duplicate detection makes repeating safe."""


class BusBusy(BusUnavailable):
    """Not now: the bus is asked too often, or somebody else holds what was asked for. Nothing happened."""


class MessageRefused(BusError):
    """The bus can never accept this message (too large, unknown entity); repeating is pointless."""


class LockLost(BusError):
    """The delivery's lock lapsed: another receiver may have the message."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message to publish.

    :param id: MessageId; within the entity's duplicate-detection window a second message with it is dropped
    :param type: what subscriptions filter on; sent as the application property `type`
    :param body: UTF-8 JSON
    :param due_at: enqueue not before this moment (scheduled delivery); Service Bus keeps its milliseconds
    :param properties: further application properties
    """

    id: str
    type: str
    body: bytes
    correlation_id: str = ""
    due_at: datetime | None = None
    properties: Mapping[str, str | int] = field(default_factory=dict)


class Bus(Protocol):
    """Where events and commands are sent."""

    async def publish(self, entity: str, messages: Sequence[Message]) -> None:
        """Send to a topic or a queue, durably: on return the bus has them.

        :raises MessageRefused: one can never be accepted; none was sent
        :raises BusUnavailable: no answer
        """
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message handed out under a lock.

    :param delivery_count: how often it has been handed out, this time included (from 1)
    :param sequence_number: the entity's own, ever growing
    """

    message: Message
    queue: str
    lock_token: str
    delivery_count: int
    sequence_number: int
    enqueued_at: datetime
    locked_until: datetime


class Receiver(Protocol):
    """The receiving half, peek-lock: what the host does for a queue trigger."""

    async def receive(self, queue: str, *, messages_max: int) -> Sequence[Delivery]:
        """Lock up to `messages_max` due messages, oldest first; empty when there are none.

        A message whose lock lapsed becomes receivable again; one that was handed out `max_delivery_count` times moves
        to the dead-letter subqueue instead.
        """
        ...

    async def complete(self, delivery: Delivery) -> None:
        """The message is done and gone.

        :raises LockLost: the lock lapsed
        """
        ...

    async def abandon(self, delivery: Delivery) -> None:
        """Give the message back at once; after the last allowed delivery it is dead-lettered.

        :raises LockLost: the lock lapsed
        """
        ...

    async def renew(self, delivery: Delivery) -> datetime:
        """Hold the lock for another lock duration; returns until when.

        :raises LockLost: the lock lapsed
        """
        ...

    async def dead_letter(self, delivery: Delivery, *, reason: str, description: str) -> None:
        """Put the message aside for good, with a reason.

        :raises LockLost: the lock lapsed
        """
        ...

    async def counts(self, queue: str) -> Mapping[str, int]:
        """How many messages are `active` (locked ones included), `scheduled` and `dead`."""
        ...

    async def wait(self, timeout_seconds: float) -> None:
        """Return when something may have become receivable, or after the timeout."""
        ...


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that ended in a queue's dead-letter subqueue.

    :param reason: `MaxDeliveryCountExceeded`, or what the receiver gave
    :param delivery_count: how often it was handed out; on Service Bus also to who passed it on the way to another
    :param sequence_number: its address among the queue's dead letters, and their order
    :param dead_lettered_at: when it was put aside; Service Bus only tells when it came
    """

    message: Message
    queue: str
    reason: str
    description: str
    delivery_count: int
    sequence_number: int
    dead_lettered_at: datetime


@dataclass(frozen=True, slots=True)
class DeadLetterPage:
    """Some dead letters in order of their numbers.

    :param next_after: where the next page begins; None when there is no more
    """

    letters: Sequence[DeadLetter]
    next_after: int | None


@dataclass(frozen=True, slots=True)
class Replay:
    """A dead letter to send once more, as a copy with its type, body and correlation id.

    :param sequence_number: of the dead letter
    :param message_id: the copy's own; duplicate detection would swallow the old one, and swallows a copy sent twice
    :param properties: the copy's, in place of the dead letter's
    :param due_at: deliver the copy not before this moment
    """

    sequence_number: int
    message_id: str
    properties: Mapping[str, str | int] = field(default_factory=dict)
    due_at: datetime | None = None


class DeadLetters(Protocol):
    """What those who run the platform do with messages that nobody could handle.

    In Service Bus: peek the dead-letter subqueue; to replay, lock the letter, send the copy to the queue itself (never
    to the topic, whose other subscribers had theirs) and complete the letter. Dying in between may send the copy twice.
    Letters can only be locked from the front; those passed on the way are given back.
    """

    async def dead_counts(self) -> Mapping[str, int]:
        """How many dead letters each queue has, every queue named; `DEAD_COUNTED_MAX` may stand for more.

        Exact numbers would take the right to manage the namespace; who may receive can count by looking.

        :raises BusUnavailable: no answer
        """
        ...

    async def peek_dead_letters(
        self,
        queue: str,
        *,
        limit: int = DEAD_LETTERS_MAX,
        after: int = 0,
        reason: str | None = None,
        type_name: str | None = None,
    ) -> DeadLetterPage:
        """A page of a queue's dead letters, lowest number first, without locking them.

        :param limit: 1 to `DEAD_LETTERS_MAX`; a page may be shorter though there are more
        :param after: begin behind this sequence number
        :param reason: only letters with exactly this reason
        :param type_name: only letters of this type
        :raises ValueError: no such queue, or an impossible limit
        :raises BusUnavailable: no answer
        """
        ...

    async def replay(self, queue: str, replays: Sequence[Replay]) -> Sequence[int]:
        """Send copies of dead letters to their own queue, and remove the letters.

        :param replays: at most `DEAD_LETTERS_MAX`
        :returns: the numbers of the letters that were there, and are no longer dead
        :raises ValueError: no such queue, or too many
        :raises MessageRefused: a copy can never be accepted; its letter stays
        :raises BusUnavailable: no answer; asking again with the same message ids sends nothing twice, if that is within
            the queue's duplicate detection
        """
        ...

    async def discard(self, queue: str, sequence_numbers: Sequence[int]) -> Sequence[int]:
        """Remove dead letters for good.

        :param sequence_numbers: at most `DEAD_LETTERS_MAX`
        :returns: the numbers of the letters that were there
        :raises ValueError: no such queue, or too many
        :raises BusUnavailable: no answer; ask again
        """
        ...


class ManagedBus(Bus, DeadLetters, Protocol):
    """What the functions are given: a bus to publish on, whose dead letters can be dealt with."""
