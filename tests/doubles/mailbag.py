"""A bus in memory that delivers nothing by itself: the test decides what arrives when, how often, and what never."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.bus.port import DeadLetterPage, Message, Replay
from shared.events.envelope import TOPIC
from shared.topology import topology


@dataclass
class Mailbag:
    """Keeps what was published, by queue; a topic's messages go to the queues whose subscriptions want them."""

    queues: dict[str, list[Message]] = field(default_factory=dict)

    async def publish(self, entity: str, messages: Sequence[Message]) -> None:
        """See `Bus.publish`."""
        for message in messages:
            for queue in _queues(entity, message.type):
                self.queues.setdefault(queue, []).append(message)

    def take(self, queue: str) -> list[Message]:
        """All that waits in a queue, which is empty then."""
        return self.queues.pop(queue, [])

    async def dead_counts(self) -> Mapping[str, int]:
        """See `DeadLetters.dead_counts`; here no message ever dies."""
        return {queue.name: 0 for queue in topology().queues}

    async def peek_dead_letters(
        self, queue: str, *, limit: int = 100, after: int = 0, reason: str | None = None, type_name: str | None = None
    ) -> DeadLetterPage:
        """See `DeadLetters.peek_dead_letters`."""
        return DeadLetterPage([], None)

    async def replay(self, queue: str, replays: Sequence[Replay]) -> Sequence[int]:
        """See `DeadLetters.replay`."""
        return []

    async def discard(self, queue: str, sequence_numbers: Sequence[int]) -> Sequence[int]:
        """See `DeadLetters.discard`."""
        return []


def _queues(entity: str, type_name: str) -> list[str]:
    if entity != TOPIC:
        return [entity]
    return [each.forward_to for each in topology().subscriptions if type_name in each.types]
