"""The Service Bus trigger on a laptop: receive, invoke, settle.

Completes on success and abandons on an exception, as Azure's trigger does; the bus counts deliveries and dead-letters.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from local.host.messages import many_messages, one_message
from local.host.runtime import Outcome, Runtime
from local.host.settings import ServiceBusLimits
from local.host.stopping import Stop, keep_doing
from local.host.triggers import QueueFunction
from shared.bus.port import BusError, Delivery, LockLost, Receiver
from shared.kernel.clock import utc_now
from shared.telemetry import DIAGNOSTIC_ID

log = logging.getLogger("local.host.queues")

_IDLE_SECONDS = 0.25  # also how late a stop may be noticed
_RECEIVE_MAX = 256  # `Receiver` hands out no more at once
_RENEW_CHECK_SECONDS = 0.5


@dataclass(slots=True)
class _Held:
    """A delivery we work on; `received` is on the monotonic clock."""

    delivery: Delivery
    received: float
    lock_seconds: float
    locked_until: datetime
    lost: bool = False

    def renewal_due(self, now: datetime) -> bool:
        return not self.lost and (self.locked_until - now).total_seconds() < self.lock_seconds / 2


class QueuePump:
    """Feeds one function from its queue.

    :param lock_seconds: the queue's lock duration; a lock is renewed at half of it, for as long as
        `maxAutoLockRenewalDuration`
    """

    def __init__(
        self,
        function: QueueFunction,
        receiver: Receiver,
        runtime: Runtime,
        limits: ServiceBusLimits,
        *,
        lock_seconds: float,
        stop: Stop,
    ) -> None:
        self._function = function
        self._receiver = receiver
        self._runtime = runtime
        self._limits = limits
        self._lock_seconds = lock_seconds
        self._stop = stop
        self._held: dict[str, _Held] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._freed = asyncio.Event()

    async def run(self) -> None:
        """Pump until a stop is requested, then finish what is held; cancelling abandons it instead."""
        renewing = asyncio.create_task(self._renew_for_ever())
        try:
            await keep_doing(f"Queue {self._function.queue}", self._step, self._stop)
            if self._calls:
                await asyncio.wait(self._calls)
        except asyncio.CancelledError:
            for call in self._calls:
                call.cancel()
            await asyncio.gather(*self._calls, return_exceptions=True)
            raise
        finally:
            renewing.cancel()

    async def _step(self) -> None:
        room = self._room()
        if room <= 0:
            self._freed.clear()
            await self._freed.wait()  # calls end, so this does
            return
        deliveries = await self._receiver.receive(self._function.queue, messages_max=room)
        if not deliveries:
            # Directly, with nothing awaited since `receive`: then no wake-up is lost.
            await self._receiver.wait(_IDLE_SECONDS)
            return
        for batch in [deliveries] if self._function.batched else [[each] for each in deliveries]:
            self._hold(batch)
            call = asyncio.create_task(self._handle(batch))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    def _room(self) -> int:
        if self._function.batched:
            return 0 if self._held else min(self._limits.max_message_batch_size, _RECEIVE_MAX)
        return min(self._limits.max_concurrent_calls - len(self._held), _RECEIVE_MAX)

    def _hold(self, batch: Sequence[Delivery]) -> None:
        now = time.monotonic()
        for delivery in batch:
            self._held[delivery.lock_token] = _Held(delivery, now, self._lock_seconds, delivery.locked_until)

    async def _handle(self, batch: Sequence[Delivery]) -> None:
        try:
            value, metadata = many_messages(batch) if self._function.batched else one_message(batch[0])
            message = batch[0].message
            outcome = await self._runtime.invoke(
                self._function,
                value,
                metadata,
                correlation_id=message.correlation_id,
                # Azure's host continues the operation of a single message; a batch belongs to many.
                trace_parent="" if self._function.batched else str(message.properties.get(DIAGNOSTIC_ID, "")),
            )
            if not outcome.ok:
                self._report(outcome, batch)
            for delivery in batch:
                await self._settle(delivery, done=outcome.ok)
        except asyncio.CancelledError:
            for delivery in batch:
                await self._settle(delivery, done=False)
            raise
        finally:
            for delivery in batch:
                del self._held[delivery.lock_token]
            self._freed.set()

    async def _settle(self, delivery: Delivery, *, done: bool) -> None:
        try:
            if done:
                await self._receiver.complete(delivery)
            else:
                await self._receiver.abandon(delivery)
        except LockLost:
            log.warning(
                "The lock of a message lapsed before it was settled; it will be delivered again", extra=_facts(delivery)
            )
        except BusError:
            log.exception("A message could not be settled; its lock will lapse", extra=_facts(delivery))

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(min(_RENEW_CHECK_SECONDS, self._lock_seconds / 4))
            now = utc_now()
            for held in [held for held in self._held.values() if held.renewal_due(now)]:
                if time.monotonic() - held.received <= self._limits.max_auto_lock_renewal_duration:
                    await self._renew(held)

    async def _renew(self, held: _Held) -> None:
        try:
            held.locked_until = await self._receiver.renew(held.delivery)
        except LockLost:
            if held.delivery.lock_token in self._held:
                held.lost = True
                log.warning("The lock of a message is lost while its function runs", extra=_facts(held.delivery))
        except BusError:
            log.exception("A lock could not be renewed", extra=_facts(held.delivery))

    def _report(self, outcome: Outcome, batch: Sequence[Delivery]) -> None:
        log.error(
            "Function %s failed: %s",
            self._function.name,
            outcome.error,
            extra={
                "function": self._function.name,
                "invocation_id": outcome.invocation.id,
                "correlation_id": outcome.invocation.correlation_id,
                "traceback": outcome.traceback,
                "batch": len(batch),
                **_facts(batch[0]),
            },
        )


def _facts(delivery: Delivery) -> dict[str, str | int]:
    return {
        "queue": delivery.queue,
        "message_id": delivery.message.id,
        "delivery_count": delivery.delivery_count,
        "sequence_number": delivery.sequence_number,
    }
