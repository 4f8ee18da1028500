"""Publishing on the embedded bus: what is accepted, which queues a message reaches, and duplicate detection."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import orjson

from shared.bus.checks import refuse_unacceptable
from shared.bus.port import Message, MessageRefused
from shared.topology import Topology

_FORGOTTEN_PER_MESSAGE = 2  # forgetting twice as fast as remembering keeps the window's table bounded
_SEEN = """
INSERT INTO seen (entity, id, until) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET until = excluded.until WHERE seen.until <= ?
"""
_FORGET = """
DELETE FROM seen WHERE (entity, id) IN (SELECT entity, id FROM seen WHERE until <= ? ORDER BY until LIMIT ?)
"""
_NUMBERS = "UPDATE sequence SET value = value + ? RETURNING value"
_INSERT = """
INSERT INTO messages (seq, queue, state, due_at, id, type, body, correlation_id, scheduled_for, properties, enqueued_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


@dataclass(frozen=True, slots=True)
class Entity:
    """A topic or queue one can publish to.

    :param everything: the queues that get every message
    :param by_type: the queues that get messages of a type
    """

    name: str
    window_seconds: float
    everything: tuple[str, ...]
    by_type: Mapping[str, tuple[str, ...]]

    @classmethod
    def all_of(cls, topology: Topology) -> Mapping[str, Self]:
        """Every entity of the topology by its name; a queue hides a topic of the same name nowhere: names are unique.

        :raises ValueError: two entities share a name, or a subscription forwards to a queue that does not exist
        """
        queues = [
            cls(queue.name, queue.duplicate_detection_minutes * 60.0, (queue.name,), {}) for queue in topology.queues
        ]
        by_type: dict[str, tuple[str, ...]] = {}
        for subscription in topology.subscriptions:
            topology.queue(subscription.forward_to)
            for type_ in subscription.types:
                by_type[type_] = (*by_type.get(type_, ()), subscription.forward_to)
        topic = cls(topology.topic.name, topology.topic.duplicate_detection_minutes * 60.0, (), by_type)
        entities = {entity.name: entity for entity in [*queues, topic]}
        if len(entities) != len(queues) + 1:
            raise ValueError("Two entities of the topology share a name.")
        return entities


def check(entities: Mapping[str, Entity], name: str, messages: Sequence[Message]) -> Entity:
    """The entity, if it exists and can accept every one of `messages`.

    :raises MessageRefused: it cannot
    """
    entity = entities.get(name)
    if entity is None:
        raise MessageRefused(f"There is no topic or queue {name!r}.")
    for message in messages:
        refuse_unacceptable(message)
    return entity


def publish(writer: sqlite3.Connection, entity: Entity, messages: Sequence[Message], now: float) -> None:
    """Put each message that is not a duplicate into every queue it is for, within the writer's transaction.

    :param now: seconds since the epoch
    """
    for message in messages:
        if writer.execute(_SEEN, (entity.name, message.id, now + entity.window_seconds, now)).rowcount == 0:
            continue
        queues = entity.everything or entity.by_type.get(message.type, ())
        if not queues:
            continue
        (last,) = writer.execute(_NUMBERS, (len(queues),)).fetchone()
        scheduled_for = None if message.due_at is None else message.due_at.timestamp()
        later = scheduled_for is not None and scheduled_for > now
        state, due_at = (2, scheduled_for) if later else (0, 0)
        text = (message.id, message.type, message.body, message.correlation_id, scheduled_for)
        properties = orjson.dumps(dict(message.properties)).decode()
        for place, queue in enumerate(queues):
            writer.execute(_INSERT, (last - place, queue, state, due_at, *text, properties, now))
    writer.execute(_FORGET, (now, _FORGOTTEN_PER_MESSAGE * len(messages)))
