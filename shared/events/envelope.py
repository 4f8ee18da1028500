"""Published events: versioned, additive, and carried by an outbox document in the commit they describe.

The bus carries ids, never personal data. Ids are derived from what happened, so telling it twice is one event.
"""

from datetime import datetime
from typing import Any, ClassVar, Final

from pydantic import ConfigDict

from shared.kernel.clock import Moment, stamp
from shared.kernel.ids import OrganiserId
from shared.kernel.model import Model
from shared.store.port import Create
from shared.telemetry import correlation, trace_parent

OUTBOX_KIND: Final = "outbox"
TOPIC: Final = "events"


class Event(Model):
    """What every event says.

    :param id: derived from the thing and what happened to it; the MessageId on the bus
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: ClassVar[int] = 1

    id: str
    occurred_at: Moment
    organiser_id: OrganiserId

    @classmethod
    def type_name(cls) -> str:
        """The `type` that subscriptions filter on."""
        return cls.__name__


def outbox(event: Event, *, destination: str = TOPIC, due_at: datetime | None = None) -> Create:
    """The write that publishes `event` with the commit it rides in; the relay sends it and deletes the document.

    It has no TTL: an event that was never sent must not vanish. `outbox_since` is what the repair timer looks for;
    `trace_parent` is there where traces are collected, and the message carries it on.

    :param destination: the topic, or the queue of a command
    :param due_at: not to be delivered before this moment
    """
    value: dict[str, Any] = {
        "kind": OUTBOX_KIND,
        "organiser_id": event.organiser_id,
        "message_id": event.id,
        "type": event.type_name(),
        "destination": destination,
        "correlation_id": correlation.get(),
        "outbox_since": stamp(event.occurred_at),
        "body": {**event.model_dump(mode="json"), "type": event.type_name(), "version": event.version},
    }
    if parent := trace_parent():
        value["trace_parent"] = parent
    if due_at is not None:
        value["send_at"] = stamp(due_at)
    return Create(f"outbox:{event.id}", value)
