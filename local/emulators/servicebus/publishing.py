"""Queues and the topic as what clients send to."""

from collections.abc import Callable
from typing import Final

from local.emulators.servicebus.addresses import Address
from local.emulators.servicebus.broker import Broker
from local.emulators.servicebus.engine import Incoming
from local.emulators.servicebus.messages import BATCH_FORMAT, Parts, batched, id_text, take_apart
from local.emulators.servicebus.performatives import ACCEPTED, AmqpError
from local.emulators.servicebus.values import Described, Malformed

ID_CHARACTERS_MAX: Final = 128  # https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas
_SUBJECT: Final = 3  # place in the properties


class EntityNode:
    """A queue or the topic.

    :param drop: cuts the connection
    """

    def __init__(self, broker: Broker, address: Address, drop: Callable[[], None]) -> None:
        self._broker = broker
        self._entity = address.entity
        self._drop = drop

    async def take(self, data: bytes, message_format: int) -> Described:
        """Publish a message, or all of a batch or none.

        :raises AmqpError: it is refused
        """
        if self._broker.faults.take("busy"):
            raise AmqpError("com.microsoft:server-busy", "The server is busy (injected).")
        try:
            encoded = batched(data) if message_format == BATCH_FORMAT else [data]
        except Malformed as error:
            raise AmqpError("amqp:decode-error", str(error)) from error
        messages = [incoming(each) for each in encoded]
        await self._broker.engine.accept(self._entity, messages, doubled=self._broker.faults.take("doubled"))
        if self._broker.faults.take("lost-publish"):
            self._drop()
        return ACCEPTED


def incoming(data: bytes) -> Incoming:
    """What the engine has to know of an encoded message.

    :raises AmqpError: the message cannot be accepted
    """
    try:
        parts = take_apart(data)
        due = parts.scheduled_for
    except Malformed as error:
        raise AmqpError("amqp:decode-error", str(error)) from error
    message_id = id_text(parts.message_id)
    if len(message_id) > ID_CHARACTERS_MAX:
        raise AmqpError("com.microsoft:argument-error", f"A message id has at most {ID_CHARACTERS_MAX} characters.")
    return Incoming(message_id, _type_of(parts), data, due)


def _type_of(parts: Parts) -> str:
    """What our subscriptions' filters compare: the application property `type`."""
    value = (parts.application or {}).get("type")
    return value if isinstance(value, str) else parts.text(_SUBJECT) or ""
