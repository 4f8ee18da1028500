"""What no bus of ours accepts, checked before anything is sent."""

from shared.bus.port import MESSAGE_BYTES_MAX, Message, MessageRefused

ID_CHARACTERS_MAX = 128  # https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas


def refuse_unacceptable(message: Message) -> None:
    """Nothing, for a message that can be sent.

    :raises MessageRefused: it never can
    """
    if not 1 <= len(message.id) <= ID_CHARACTERS_MAX:
        raise MessageRefused(f"A message id has 1 to {ID_CHARACTERS_MAX} characters: {message.id!r}.")
    if "type" in message.properties:
        raise MessageRefused(f"{message.id!r}: the property `type` is the message's own.")
    if message.due_at is not None and message.due_at.tzinfo is None:
        raise MessageRefused(f"{message.id!r}: `due_at` needs a time zone.")
    if _size(message) > MESSAGE_BYTES_MAX:
        raise MessageRefused(f"{message.id!r} exceeds {MESSAGE_BYTES_MAX} bytes.")


def _size(message: Message) -> int:
    texts = [message.id, message.type, message.correlation_id]
    for name, value in message.properties.items():
        texts += [name, str(value)]
    return len(message.body) + sum(len(text.encode()) for text in texts)
