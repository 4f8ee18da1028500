"""Nodes that answer requests: `$cbs` takes tokens, `$management` does what an entity offers besides its links."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from local.emulators.servicebus.addresses import Address, path_of
from local.emulators.servicebus.broker import Broker
from local.emulators.servicebus.management import Management
from local.emulators.servicebus.messages import Parts, reply, take_apart
from local.emulators.servicebus.performatives import ACCEPTED, AmqpError
from local.emulators.servicebus.tokens import TokenRefused
from local.emulators.servicebus.values import Described, Int, Malformed, Value
from shared.kernel.clock import utc_now

GRANTS_MAX = 1000  # of a connection

type Answer = Callable[[bytes], Awaitable[None]]


class CbsNode:
    """Takes tokens.

    :param grants: of the connection: which paths it may use until when
    :param answer: sends a reply
    """

    def __init__(self, broker: Broker, grants: dict[str, datetime], answer: Answer) -> None:
        self._broker = broker
        self._grants = grants
        self._answer = answer

    async def take(self, data: bytes, _: int) -> Described:
        """Check the token in a request, and say what came of it."""
        parts = _request_in(data)
        status, description = self._put(parts.application or {}, parts.body)
        facts: dict[str, Value] = {"status-code": Int(status), "status-description": description}
        await self._answer(reply(parts.message_id, facts, None))
        return ACCEPTED

    def _put(self, asked: Mapping[object, Value], token: Value) -> tuple[int, str]:
        if asked.get("operation") != "put-token":
            return 400, "The only operation of $cbs is put-token."
        kind, audience = asked.get("type"), asked.get("name")
        if not isinstance(kind, str) or not isinstance(audience, str) or not isinstance(token, str):
            return 400, "put-token needs its type, its name and a token."
        try:
            until = self._broker.tokens.check(kind, token, audience, utc_now())
        except TokenRefused as refused:
            return 401, str(refused)
        if len(self._grants) >= GRANTS_MAX:
            return 400, f"A connection has at most {GRANTS_MAX} tokens."
        self._grants[path_of(audience)] = until
        return 200, "OK"


class ManagementNode:
    """Takes the requests to an entity's management node.

    :param answer: sends a reply
    """

    def __init__(self, broker: Broker, address: Address, answer: Answer) -> None:
        self._management = Management(broker, address)
        self._answer = answer

    async def take(self, data: bytes, _: int) -> Described:
        """Do what a request asks, and answer it."""
        parts = _request_in(data)
        operation = (parts.application or {}).get("operation")
        facts, value = await self._management.perform(str(operation), parts.body)
        await self._answer(reply(parts.message_id, facts, value))
        return ACCEPTED


def _request_in(data: bytes) -> Parts:
    try:
        return take_apart(data)
    except Malformed as error:
        raise AmqpError("amqp:decode-error", str(error)) from error
