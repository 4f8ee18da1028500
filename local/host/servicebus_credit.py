"""A receiving link's credit, driven by hand: the SDK's inner parts, all of them that we touch.

The public `receive_messages` leaves credit on the link when it returns with fewer messages than it asked for: what
comes later is locked without anybody knowing, until the next call. `Receiver.receive` promises otherwise. This is
written for azure-servicebus 7.15; the contract suite shows whether another version still allows it.
"""
# ruff: noqa: SLF001 - that is this module's purpose

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus._pyamqp.error import AMQPException
from azure.servicebus.aio import ServiceBusReceiver as SdkReceiver

from shared.bus.port import BusUnavailable

_GAP_SECONDS: Final = 0.02  # messages that are there follow each other faster
_DRAIN_SECONDS_MAX: Final = 2.0
_DELIVERY_COUNT: Final = 5  # place in a flow frame


class Credit:
    """Asks a link for messages, and leaves nothing asked for.

    :param sdk: an open receiver with a prefetch count, so that the SDK buffers what comes at any time
    """

    def __init__(self, sdk: SdkReceiver) -> None:
        self._sdk: Any = sdk
        self._handler: Any = self._sdk._handler
        self._link: Any = self._handler._link

    async def take(self, most: int, *, wait_seconds: float) -> list[ServiceBusReceivedMessage]:
        """Up to `most` messages: what comes within a time, and what the bus still has when the link is drained.

        :param wait_seconds: 0 where somebody has listened until now, so that nothing can be on its way for long
        """
        if self._buffered() < most:
            await self._ready()
            if wait_seconds > 0:
                await self._link.flow(link_credit=most - self._buffered())
                await self._gather(most, wait_seconds)
            if self._buffered() < most:
                self._link.current_link_credit = most - self._buffered()
                await self._drain()
        number = min(most, self._buffered())
        return [self._sdk._build_received_message(self._handler._received_messages.get()) for _ in range(number)]

    async def _gather(self, most: int, wait_seconds: float) -> None:
        """Read what comes, until it is enough, or nothing has come for a while."""
        quiet_at = time.monotonic() + wait_seconds
        while self._buffered() < most and (left := quiet_at - time.monotonic()) > 0:
            before = self._buffered()
            await self._listen(left)
            if self._buffered() > before:
                quiet_at = time.monotonic() + _GAP_SECONDS

    async def first(self, seconds: float) -> None:
        """Return when a message is there, or after a time; with one credit left on the link."""
        await self._ready()
        await self._link.flow(link_credit=1)
        until = time.monotonic() + seconds
        while not self._buffered() and (left := until - time.monotonic()) > 0:
            await self._listen(left)

    async def _drain(self) -> None:
        """Take back what credit is left: the bus sends what it has for it, then says that it is used up."""
        drained = asyncio.Event()
        link = self._link

        async def on_flow(frame: Sequence[Any]) -> None:
            link.delivery_count = frame[_DELIVERY_COUNT]  # moved on by the credit that was used up
            drained.set()

        link._incoming_flow = on_flow  # the SDK's own does nothing
        try:
            await link._outgoing_flow(drain=True)
            until = time.monotonic() + _DRAIN_SECONDS_MAX
            while not drained.is_set():
                if (left := until - time.monotonic()) <= 0:
                    raise BusUnavailable("Service Bus does not say that a link is drained.")
                await self._listen(left)
        finally:
            del link._incoming_flow
        link.current_link_credit = 0

    async def _ready(self) -> None:
        """Renew the token, if it is time, and see that the link stands."""
        try:
            while not await self._handler.client_ready_async():
                pass  # each turn reads from the connection, or waits for it
        except AMQPException as error:
            raise BusUnavailable(f"Service Bus: {error}") from error

    async def _listen(self, seconds: float) -> None:
        connection = self._handler._connection
        try:
            await connection.listen(wait=seconds)
            if connection._error is not None:
                raise connection._error
            self._link.get_state()  # raises what ended the link
        except AMQPException as error:
            raise BusUnavailable(f"Service Bus: {error}") from error

    def _buffered(self) -> int:
        number: int = self._handler._received_messages.qsize()
        return number
