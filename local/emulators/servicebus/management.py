"""The requests of an entity's management node.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-request-response
"""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from local.emulators.servicebus.addresses import Address
from local.emulators.servicebus.broker import Broker
from local.emulators.servicebus.engine import SCHEDULED, Held, LockGone, NothingThere, Stored
from local.emulators.servicebus.messages import Stamps, stamped
from local.emulators.servicebus.performatives import AmqpError
from local.emulators.servicebus.publishing import incoming
from local.emulators.servicebus.values import Array, Int, Long, Symbol, Timestamp, Value

ASKED_MAX: Final = 1000  # lock tokens, numbers or messages in one request
_OK, _NOTHING, _BAD, _NOT_FOUND, _GONE, _NOT_IMPLEMENTED = 200, 204, 400, 404, 410, 501
_LONG_MAX: Final = 2**63 - 1

type Facts = dict[str, Value]
type Asked = Mapping[object, Value]
type Answer = tuple[int, Value]


class _Refused(Exception):
    def __init__(self, status: int, condition: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.condition = condition


class Management:
    """Performs requests on one entity.

    :param address: of its management node
    """

    def __init__(self, broker: Broker, address: Address) -> None:
        self._engine = broker.engine
        self._address = address
        self._operations: Mapping[str, Callable[[Asked], Awaitable[Answer]]] = {
            "com.microsoft:peek-message": self._peek,
            "com.microsoft:renew-lock": self._renew,
            "com.microsoft:update-disposition": self._settle,
            "com.microsoft:schedule-message": self._schedule,
            "com.microsoft:cancel-scheduled-message": self._cancel,
        }

    async def perform(self, operation: str, asked: Value) -> tuple[Facts, Value]:
        """The facts and the body of the answer to a request."""
        try:
            status, value = await self._operation(operation)(_map(asked))
        except _Refused as refused:
            return _facts(refused.status, str(refused), refused.condition), {}
        except AmqpError as error:
            return _facts(_BAD, error.description, error.condition), {}
        except LockGone as gone:
            return _facts(_GONE, str(gone), "com.microsoft:message-lock-lost"), {}
        except NothingThere as nothing:
            return _facts(_NOT_FOUND, str(nothing), "com.microsoft:message-not-found"), {}
        return _facts(status, "OK" if status == _OK else "No Content"), value

    def _operation(self, name: str) -> Callable[[Asked], Awaitable[Answer]]:
        perform = self._operations.get(name)
        if perform is None:
            raise _Refused(_NOT_IMPLEMENTED, "amqp:not-implemented", f"{name} is not emulated.")
        return perform

    async def _peek(self, asked: Asked) -> Answer:
        first, limit = _number(asked, "from-sequence-number"), _number(asked, "message-count")
        if limit < 1:
            raise _bad("message-count is at least 1.")
        queue = self._queue()
        found = await self._engine.peek(queue, dead=self._address.dead, first=first, limit=limit)
        if not found:
            return _NOTHING, {}
        return _OK, {"messages": [{"message": stamped(each.data, self._stamps(each))} for each in found]}

    async def _renew(self, asked: Asked) -> Answer:
        untils = [await self._engine.renew_lock(held) for held in await self._held(asked)]
        return _OK, {"expirations": Array(Timestamp(round(until * 1000)) for until in untils)}

    async def _settle(self, asked: Asked) -> Answer:
        status = asked.get("disposition-status")
        for held in await self._held(asked):
            if status == "completed":
                await self._engine.settle_completed(held)
            elif status == "abandoned":
                await self._engine.settle_abandoned(held)
            elif status == "suspended" and not held.dead:
                reason, description = asked.get("deadletter-reason"), asked.get("deadletter-description")
                await self._engine.settle_dead(held, reason=str(reason or ""), description=str(description or ""))
            else:
                raise _Refused(_NOT_IMPLEMENTED, "amqp:not-implemented", f"Settling as {status} is not emulated here.")
        return _OK, {}

    async def _schedule(self, asked: Asked) -> Answer:
        entries = asked.get("messages")
        if not isinstance(entries, list) or not 1 <= len(entries) <= ASKED_MAX:
            raise _bad(f"messages is a list of 1 to {ASKED_MAX}.")
        encoded = [entry.get("message") for entry in entries if isinstance(entry, dict)]
        messages = [incoming(each) for each in encoded if isinstance(each, bytes)]
        if len(messages) != len(entries) or any(message.due_at is None for message in messages):
            raise _bad("Each of messages has its encoded message, with the moment it is scheduled for.")
        numbers = await self._engine.accept(self._address.entity, messages)
        return _OK, {"sequence-numbers": Array(Long(number) for number in numbers)}

    async def _cancel(self, asked: Asked) -> Answer:
        numbers = asked.get("sequence-numbers")
        if not isinstance(numbers, list) or not 1 <= len(numbers) <= ASKED_MAX:
            raise _bad(f"sequence-numbers is an array of 1 to {ASKED_MAX}.")
        await self._engine.cancel(self._queue(), [_long(number) for number in numbers])
        return _OK, {}

    async def _held(self, asked: Asked) -> list[Held]:
        tokens = asked.get("lock-tokens")
        if not isinstance(tokens, list) or not 1 <= len(tokens) <= ASKED_MAX:
            raise _bad(f"lock-tokens is an array of 1 to {ASKED_MAX}.")
        queue = self._queue()
        held = []
        for token in tokens:
            if not isinstance(token, uuid.UUID):
                raise _bad("A lock token is a UUID.")
            held.append(await self._engine.held(queue, dead=self._address.dead, token=token.hex))
        return held

    def _queue(self) -> str:
        if self._address.topic or self._address.forwards:
            reason = f"{self._address.path} keeps no messages: its subscriptions forward all of them."
            raise _Refused(_NOT_IMPLEMENTED, "amqp:not-implemented", reason)
        return self._address.entity

    def _stamps(self, stored: Stored) -> Stamps:
        dead = self._address.dead
        return Stamps(
            stored.sequence_number,
            stored.delivery_count,
            stored.enqueued_at,
            state=Int(2 if stored.state == SCHEDULED else 0),
            dead=(stored.reason, stored.description) if dead else None,
        )


def _facts(status: int, description: str, condition: str | None = None) -> Facts:
    facts: Facts = {"statusCode": Int(status), "statusDescription": description}
    return facts if condition is None else facts | {"errorCondition": Symbol(condition)}


def _bad(description: str) -> _Refused:
    return _Refused(_BAD, "com.microsoft:argument-error", description)


def _map(value: Value) -> Asked:
    if not isinstance(value, dict):
        raise _bad("A request's body is a map.")
    return value


def _number(asked: Asked, name: str) -> int:
    value = asked.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LONG_MAX:
        raise _bad(f"{name} is a number.")
    return value


def _long(value: Value) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LONG_MAX:
        raise _bad("A sequence number is a number.")
    return value
