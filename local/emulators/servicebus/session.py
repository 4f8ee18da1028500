"""A session: numbers deliveries, keeps to the windows, and finds the link a frame is for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from local.emulators.servicebus.broker import Broker
from local.emulators.servicebus.engine import Held, LockGone
from local.emulators.servicebus.frames import FRAME_BYTES_MAX
from local.emulators.servicebus.links import Inbound, Outbound
from local.emulators.servicebus.performatives import (
    REJECTED,
    RELEASED,
    AmqpError,
    Begin,
    Detach,
    Disposition,
    Flow,
    Performative,
    Transfer,
    rejected,
)
from local.emulators.servicebus.values import Described, Malformed, ULong

WINDOW: Final = 5000  # transfers a client may send ahead
UNSETTLED_MAX: Final = 10_000  # deliveries a session remembers; the oldest are forgotten first, their locks lapse
_TRANSFER_OVERHEAD: Final = 128  # more than a transfer's own fields ever take
_WRAP: Final = 0xFFFFFFFF
LOCK_LOST: Final = "com.microsoft:message-lock-lost"

type Write = Callable[[Performative, bytes], Awaitable[None]]


class Session:
    """One session of a connection.

    :param write: sends a frame on the session's channel
    :param drop: cuts the connection
    :param frame_bytes: the longest frame the client takes
    """

    def __init__(
        self, broker: Broker, begin: Begin, *, write: Write, drop: Callable[[], None], frame_bytes: int
    ) -> None:
        self.broker = broker
        self.drop = drop
        self._write = write
        self._payload_max = min(frame_bytes, FRAME_BYTES_MAX) - _TRANSFER_OVERHEAD
        self._next_incoming = begin.next_outgoing_id
        self._next_outgoing = 0
        self._remote_window = begin.incoming_window
        self._window_opened = asyncio.Event()
        self._sending = asyncio.Lock()
        self.inbound: dict[int, Inbound] = {}
        self.outbound: dict[int, tuple[Outbound, asyncio.Task[None]]] = {}
        self._unsettled: dict[int, Held] = {}

    async def send(self, body: Performative) -> None:
        """Send a frame without a payload."""
        await self._write(body, b"")

    async def flow(self, flow: Flow) -> None:
        """Tell the client where session and link stand."""
        flow.next_incoming_id = self._next_incoming
        flow.incoming_window = WINDOW
        flow.next_outgoing_id = self._next_outgoing
        flow.outgoing_window = WINDOW
        await self.send(flow)

    async def settled(self, first: int, state: Described) -> None:
        """Tell the client what became of a delivery it sent."""
        await self._write(Disposition(role=True, first=first, last=first, settled=True, state=state), b"")

    async def deliver(self, handle: int, tag: bytes, data: bytes, held: Held | None) -> None:
        """Send a message, in as many transfers as it needs; without a lock it is settled already."""
        async with self._sending:  # the transfers of one delivery follow each other, and take one number
            number = None
            parts = [data[at : at + self._payload_max] for at in range(0, len(data), self._payload_max)] or [b""]
            for place, part in enumerate(parts):
                while self._remote_window <= 0:
                    self._window_opened.clear()
                    await self._window_opened.wait()
                if number is None:
                    number = self._next_outgoing
                    if held is not None:
                        self._remember(number, held)
                transfer = Transfer(
                    handle=handle,
                    delivery_id=number,
                    delivery_tag=tag,
                    message_format=0,
                    settled=held is None,
                    more=place < len(parts) - 1,
                )
                self._next_outgoing = (self._next_outgoing + 1) & _WRAP
                self._remote_window -= 1
                await self._write(transfer, part)

    async def take_flow(self, flow: Flow) -> None:
        """Take the client's word on where it stands."""
        known = flow.next_incoming_id if flow.next_incoming_id is not None else self._next_outgoing
        self._remote_window = (known + flow.incoming_window - self._next_outgoing) & _WRAP
        if self._remote_window > _WRAP // 2:
            self._remote_window = 0
        if self._remote_window > 0:
            self._window_opened.set()
        if flow.handle in self.outbound:
            await self.outbound[flow.handle][0].flow(flow)
        elif flow.handle is not None and flow.handle not in self.inbound:
            raise AmqpError("amqp:session:unattached-handle", f"No link has the handle {flow.handle}.")
        elif flow.echo:
            await self.flow(Flow())

    async def take_transfer(self, transfer: Transfer, payload: bytes) -> None:
        """Hand a transfer to its link; a link that takes it ill is detached."""
        self._next_incoming = (self._next_incoming + 1) & _WRAP
        link = self.inbound.get(transfer.handle)
        if link is None:
            raise AmqpError("amqp:session:unattached-handle", f"No link has the handle {transfer.handle}.")
        try:
            await link.transfer(transfer, payload)
        except AmqpError as error:
            del self.inbound[transfer.handle]
            await self._write(Detach(handle=transfer.handle, closed=True, error=error.described()), b"")

    async def take_disposition(self, disposition: Disposition) -> None:
        """Settle what the client settles, and tell it what became of that."""
        if not disposition.role or disposition.state is None:
            return  # about what it sent to us: that is settled already
        last = disposition.last if disposition.last is not None else disposition.first
        numbers = [number for number in self._unsettled if disposition.first <= number <= last]
        if not numbers and last == disposition.first:
            numbers = [last]
        for number in numbers:
            held = self._unsettled.pop(number, None)
            outcome = await self._settle(held, disposition.state)
            if self.broker.faults.take("lost-settlement"):
                self.drop()
                return
            if not disposition.settled:
                answer = Disposition(role=False, first=number, last=number, settled=True, state=outcome)
                await self._write(answer, b"")

    async def _settle(self, held: Held | None, state: Described) -> Described:
        """The outcome that was applied, or a rejection that says why not.

        A dead-lettered message is rejected as its client asked: the answer has no error, for nothing failed.
        """
        if held is None:
            return rejected(AmqpError(LOCK_LOST, "The delivery is settled, or forgotten."))
        try:
            await apply(self.broker, held, state)
        except LockGone as gone:
            return rejected(AmqpError(LOCK_LOST, str(gone)))
        except AmqpError as error:
            return rejected(error)
        return REJECTED if state.descriptor == REJECTED.descriptor else state

    def _remember(self, number: int, held: Held) -> None:
        if len(self._unsettled) >= UNSETTLED_MAX:
            del self._unsettled[next(iter(self._unsettled))]
        self._unsettled[number] = held

    async def detach(self, detach: Detach) -> None:
        """End a link, and say so."""
        self.inbound.pop(detach.handle, None)
        outbound = self.outbound.pop(detach.handle, None)
        if outbound is not None:
            await _end(outbound[1])
        await self._write(Detach(handle=detach.handle, closed=detach.closed), b"")

    async def end(self) -> None:
        """End every link."""
        for _, task in self.outbound.values():
            await _end(task)
        self.outbound.clear()
        self.inbound.clear()


async def apply(broker: Broker, held: Held, state: Described) -> None:
    """Do what an outcome says: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide

    :raises LockGone: the lock lapsed
    :raises AmqpError: the outcome is not supported
    :raises Malformed: there is no such outcome
    """
    fields = state.value if isinstance(state.value, list) else []
    engine = broker.engine
    match state.descriptor:
        case ULong(0x24):
            await engine.settle_completed(held)
        case ULong(0x25):
            if held.dead:
                raise AmqpError("amqp:not-implemented", "Dead-lettering a dead letter is not emulated.")
            reason, description = _reason_in(fields)
            await engine.settle_dead(held, reason=reason, description=description)
        case RELEASED.descriptor:
            await engine.settle_released(held)
        case ULong(0x27):
            if len(fields) > 1 and fields[1] is True:
                raise AmqpError("amqp:not-implemented", "Deferring messages is not emulated.")
            await engine.settle_abandoned(held)
        case _:
            raise Malformed(f"There is no outcome {state.descriptor!r}.")


def _reason_in(fields: list[object]) -> tuple[str, str]:
    """Why a message is put aside, from the information in the outcome's error."""
    error = fields[0] if fields else None
    parts = error.value if isinstance(error, Described) and isinstance(error.value, list) else []
    info = parts[2] if len(parts) > 2 and isinstance(parts[2], dict) else {}
    named = {str(key): value for key, value in info.items()}
    return str(named.get("DeadLetterReason") or ""), str(named.get("DeadLetterErrorDescription") or "")


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
