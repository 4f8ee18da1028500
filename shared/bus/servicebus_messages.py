"""Our messages as the SDK's, and back. Imports the SDK, so it is imported where the SDK is first used."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage

from shared.bus.port import DeadLetter, Message

CONTENT_TYPE = "application/json"
_TYPE = "type"
_WHY_DEAD = frozenset({"DeadLetterReason", "DeadLetterErrorDescription"})  # the bus adds these to what was sent


def outgoing(message: Message) -> ServiceBusMessage:
    """A message as it is sent: its type as application property and as subject."""
    properties: dict[str | bytes, int | float | bytes | bool | str | UUID] = {_TYPE: message.type}
    properties.update(message.properties)
    return ServiceBusMessage(
        message.body,
        message_id=message.id,
        content_type=CONTENT_TYPE,
        subject=message.type,
        correlation_id=message.correlation_id or None,
        scheduled_enqueue_time_utc=message.due_at,
        application_properties=properties,
    )


def message_of(received: ServiceBusReceivedMessage) -> Message:
    """The message that was received or peeked at; one that is not ours has an empty type."""
    properties = _texts(cast(Mapping[object, object], received.application_properties or {}))
    type_ = str(properties.pop(_TYPE, ""))
    return Message(
        str(received.message_id or ""),
        type_,
        b"".join(cast("list[bytes]", list(received.body))) if _has_data(received) else b"",
        received.correlation_id or "",
        _utc(received.scheduled_enqueue_time_utc),
        {name: value for name, value in properties.items() if name not in _WHY_DEAD},
    )


def letter_of(received: ServiceBusReceivedMessage, queue: str) -> DeadLetter:
    """The dead letter that was peeked at."""
    return DeadLetter(
        message_of(received),
        queue,
        received.dead_letter_reason or "",
        received.dead_letter_error_description or "",
        received.delivery_count or 0,
        number_of(received),
        enqueued_at(received),
    )


def number_of(received: ServiceBusReceivedMessage) -> int:
    """The sequence number, which every stored message has."""
    assert received.sequence_number is not None
    return received.sequence_number


def enqueued_at(received: ServiceBusReceivedMessage) -> datetime:
    """When the message came, which every stored message knows."""
    moment = _utc(received.enqueued_time_utc)
    assert moment is not None
    return moment


def _has_data(received: ServiceBusReceivedMessage) -> bool:
    from azure.servicebus.amqp import AmqpMessageBodyType

    return received.body_type == AmqpMessageBodyType.DATA


def _texts(properties: Mapping[object, object]) -> dict[str, str | int]:
    """Application properties with texts in place of the SDK's bytes."""
    return {str(_text(name)): _text(value) for name, value in properties.items()}


def _text(value: object) -> str | int:
    if isinstance(value, bytes):
        return value.decode()
    return value if isinstance(value, int | str) else str(value)


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
