"""A bus in memory that delivers nothing by itself: the test decides what arrives when, how often, and what never."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.bus.port import Message
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


def _queues(entity: str, type_name: str) -> list[str]:
    if entity != TOPIC:
        return [entity]
    return [each.forward_to for each in topology().subscriptions if type_name in each.types]
