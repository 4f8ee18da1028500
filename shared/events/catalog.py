"""What catalog tells: an event is on sale, or no longer."""

from shared.events.envelope import Event
from shared.kernel.ids import EventId


class EventPublished(Event):
    """The event can be bought."""

    event_id: EventId


class EventCancelled(Event):
    """The event will not take place; nothing more is sold."""

    event_id: EventId
