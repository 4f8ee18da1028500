"""The two kinds of links, seen from the bus: what clients send on, and what they receive on."""

import asyncio
import contextlib
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn, Protocol

from local.emulators.servicebus.broker import Broker
from local.emulators.servicebus.engine import Held, LockGone, Stored
from local.emulators.servicebus.messages import Stamps, stamped
from local.emulators.servicebus.performatives import AmqpError, Attach, Flow, Transfer, rejected
from local.emulators.servicebus.values import Described, Malformed

CREDIT: Final = 1000  # deliveries a client may send ahead
# The Standard tier's: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas
MESSAGE_BYTES_MAX: Final = 262_144
_REQUESTS_MAX: Final = 1000  # replies that wait for credit
_LOCKED_AT_ONCE: Final = 64
_WRAP: Final = 0xFFFFFFFF

type Sink = Callable[[bytes, int], Awaitable[Described]]


class SessionOf(Protocol):
    """What a link needs of its session."""

    broker: Broker

    async def flow(self, flow: Flow) -> None: ...
    async def settled(self, first: int, state: Described) -> None: ...
    async def deliver(self, handle: int, tag: bytes, data: bytes, held: Held | None) -> None: ...
    def drop(self) -> None: ...


class Inbound:
    """A link a client sends on.

    :param sink: takes a whole message and its format, and says what became of it
    """

    def __init__(self, session: SessionOf, attach: Attach, sink: Sink) -> None:
        self._session = session
        self.handle = attach.handle
        self._sink = sink
        self._count = attach.initial_delivery_count or 0
        self._since_flow = 0
        self._first: Transfer | None = None
        self._parts: list[bytes] = []
        self._size = 0

    async def grant(self) -> None:
        """Let the client send."""
        self._since_flow = 0
        await self._session.flow(Flow(handle=self.handle, delivery_count=self._count, link_credit=CREDIT))

    async def transfer(self, transfer: Transfer, payload: bytes) -> None:
        """Take a message, or a part of one.

        :raises AmqpError: it is too large for the link; its sender has been told so by the delivery's outcome too
        :raises Malformed: its first part has no number
        """
        first = self._first = self._first or transfer
        if transfer.aborted:
            self._forget()
            return
        self._size += len(payload)
        if self._size > MESSAGE_BYTES_MAX:
            self._parts.clear()  # the rest is counted, so that the refusal can name the size, and not kept
        else:
            self._parts.append(payload)
        if transfer.more:
            return
        if first.delivery_id is None:
            raise Malformed("The first transfer of a delivery needs its delivery-id.")
        if self._size > MESSAGE_BYTES_MAX:
            await self._refuse_size(first, first.delivery_id)
        data = b"".join(self._parts)
        self._forget()
        self._count = (self._count + 1) & _WRAP
        state = await self._take(data, first.message_format or 0)
        if not first.settled:
            await self._session.settled(first.delivery_id, state)
        self._since_flow += 1
        if self._since_flow >= CREDIT // 2:
            await self.grant()

    async def _refuse_size(self, first: Transfer, delivery_id: int) -> NoReturn:
        """As Service Bus does: the delivery is rejected, which is what the SDK tells its caller, and the link ends."""
        error = AmqpError(
            "amqp:link:message-size-exceeded",
            f"The received message (delivery-id:{delivery_id}, size:{self._size} bytes) exceeds the limit "
            f"({MESSAGE_BYTES_MAX} bytes) currently allowed on the link.",
        )
        self._forget()
        if not first.settled:
            await self._session.settled(delivery_id, rejected(error))
        raise error

    async def _take(self, data: bytes, message_format: int) -> Described:
        try:
            return await self._sink(data, message_format)
        except AmqpError as error:
            return rejected(error)

    def _forget(self) -> None:
        self._first, self._parts, self._size = None, [], 0


class Outbound:
    """A link a client receives on; what it may be sent is bounded by its credit."""

    def __init__(self, session: SessionOf, attach: Attach) -> None:
        self._session = session
        self.handle = attach.handle
        self.credit = 0
        self._count = 0
        self._drain = False
        self._asked = False
        self._kick = asyncio.Event()

    async def flow(self, flow: Flow) -> None:
        """Take the client's word on its credit."""
        if flow.link_credit is not None:
            known = flow.delivery_count if flow.delivery_count is not None else self._count
            self.credit = max(0, (known + flow.link_credit - self._count) & _WRAP)
            if self.credit > _WRAP // 2:  # it has been sent more than it grants now
                self.credit = 0
        self._drain = flow.drain
        self._asked = flow.echo or flow.drain
        self._kick.set()

    async def run(self) -> None:
        """Send what there is, as credit allows; ends when cancelled."""
        self._session.broker.waiting.add(self._kick)
        try:
            while True:
                await self._kick.wait()
                self._kick.clear()
                await self._send()
                await self._answer()
        finally:
            self._session.broker.waiting.discard(self._kick)

    async def _send(self) -> None:
        raise NotImplementedError

    async def _answer(self) -> None:
        """Tell the client where the link stands, if it asked; a drained link has no credit left."""
        if not self._asked:
            return
        self._asked = False
        if self._drain:
            self._drain = False
            self._count = (self._count + self.credit) & _WRAP
            self.credit = 0
            drained = True
        else:
            drained = False
        await self._session.flow(
            Flow(handle=self.handle, delivery_count=self._count, link_credit=self.credit, available=0, drain=drained)
        )

    async def _deliver(self, tag: bytes, data: bytes, held: Held | None) -> None:
        self.credit -= 1
        self._count = (self._count + 1) & _WRAP
        await self._session.deliver(self.handle, tag, data, held)


class QueueLink(Outbound):
    """Hands out a queue's messages under locks.

    :param dead: from its dead-letter subqueue
    :param settled: receive and delete
    """

    def __init__(self, session: SessionOf, attach: Attach, *, queue: str, dead: bool) -> None:
        super().__init__(session, attach)
        self._queue = queue
        self._dead = dead
        self._settled = attach.snd_settle_mode == 1

    async def _send(self) -> None:
        while self.credit > 0:
            stored = await self._session.broker.engine.lock(
                self._queue, dead=self._dead, limit=min(self.credit, _LOCKED_AT_ONCE)
            )
            if not stored:
                return
            for each in stored:
                await self._hand_out(each)

    async def _hand_out(self, stored: Stored) -> None:
        engine = self._session.broker.engine
        assert stored.lock_token is not None
        held = Held(self._queue, self._dead, stored.sequence_number, stored.lock_token)
        with contextlib.suppress(LockGone):  # then somebody else has it
            if self.credit <= 0:  # taken back by the client meanwhile
                await engine.settle_released(held)
                return
            if self._settled:
                await engine.settle_completed(held)
            tag = uuid.UUID(stored.lock_token).bytes_le
            data = stamped(
                stored.data,
                Stamps(
                    stored.sequence_number,
                    stored.delivery_count - 1,
                    stored.enqueued_at,
                    stored.locked_until,
                    dead=(stored.reason, stored.description) if self._dead else None,
                ),
            )
            await self._deliver(tag, data, None if self._settled else held)


class ReplyLink(Outbound):
    """Carries the answers to requests on a node.

    :param path: the node's
    """

    def __init__(self, session: SessionOf, attach: Attach, path: str) -> None:
        super().__init__(session, attach)
        self.path = path
        self._replies: deque[bytes] = deque()
        self._sent = 0

    def answer(self, data: bytes) -> None:
        """Send a reply as soon as there is credit.

        :raises AmqpError: too many wait already
        """
        if len(self._replies) >= _REQUESTS_MAX:
            raise AmqpError("amqp:resource-limit-exceeded", "Too many replies wait for credit.")
        self._replies.append(data)
        self._kick.set()

    async def _send(self) -> None:
        while self.credit > 0 and self._replies:
            self._sent += 1
            await self._deliver(self._sent.to_bytes(8), self._replies.popleft(), None)
