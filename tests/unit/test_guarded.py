"""Breakers before store and bus: silence opens them, and an answer never does, whatever it says."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest
from pydantic import BaseModel

from shared.breaker import FAILURES_MAX, STATES, Breaker
from shared.bus.embedded import EmbeddedBus
from shared.bus.guarded import GuardedBus
from shared.bus.port import BusBusy, BusUnavailable, Message, MessageRefused
from shared.store.guarded import GuardedStore
from shared.store.port import AlreadyExists, Busy, ConditionFailed, Create, NotFound, StaleWrite, Unavailable, Write
from shared.telemetry import gauges
from shared.topology import topology
from shared.web import triggers
from tests.doubles.host import queue_function
from tests.doubles.mailbag import Mailbag


class Failing(Mailbag):
    """A bus, and a store, that answers everything in one way."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error
        self.asked = 0

    async def publish(self, entity: str, messages: Sequence[Message]) -> None:
        self.asked += 1
        raise self._error

    async def commit(self, container: str, partition: str, writes: Sequence[Write]) -> Sequence[str]:
        self.asked += 1
        raise self._error


MORE = FAILURES_MAX + 3


@pytest.mark.parametrize(
    ("error", "asked"),
    [(BusUnavailable("silent"), FAILURES_MAX), (BusBusy("held"), MORE), (MessageRefused("too large"), MORE)],
)
async def test_only_a_silent_bus_is_left_alone(error: Exception, asked: int) -> None:
    inner = Failing(error)
    bus = GuardedBus(inner)
    for _ in range(MORE):
        with pytest.raises(BusUnavailable if isinstance(error, BusUnavailable) else MessageRefused):
            await bus.publish("payments", [])
    assert inner.asked == asked


class Taken(Mailbag):
    """A bus that sends at once, and whose dead letters take until they are `done`, or fail."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.done = asyncio.Event()

    async def discard(self, queue: str, sequence_numbers: Sequence[int]) -> Sequence[int]:
        if self.error is not None:
            raise self.error
        await self.done.wait()
        return sequence_numbers


async def test_dead_letters_that_cannot_be_had_or_take_long_keep_nobody_from_sending() -> None:
    inner = Taken()
    bus = GuardedBus(inner)
    inner.error = BusUnavailable("silent")
    for _ in range(MORE):
        with pytest.raises(BusUnavailable):
            await bus.discard("payments", [1])
    await bus.publish("payments", [Message("a", "T", b"{}")])

    assert (gauges()["breaker.dead-letters"], gauges()["breaker.bus"]) == (STATES["opened"], STATES["closed"])

    guard = Breaker("bus", failure=BusUnavailable, open_seconds=0.05)
    bus = GuardedBus(inner, guard)
    await opened(guard)
    await asyncio.sleep(0.1)
    inner.error = None
    taking = asyncio.create_task(bus.discard("payments", [1]))
    await asyncio.sleep(0)
    await bus.publish("payments", [Message("b", "T", b"{}")])  # it is the one call that tries, not the taking
    inner.done.set()

    assert await taking == [1]
    assert [message.id for message in inner.take("payments")] == ["a", "b"]


async def opened(guard: Breaker) -> None:
    async def silent() -> None:
        raise BusUnavailable("silent")

    for _ in range(FAILURES_MAX):
        with pytest.raises(BusUnavailable):
            await guard.call(silent)


class Due(BaseModel):
    """What the consumer is told."""


async def test_a_message_outlives_the_time_in_which_the_bus_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_seconds = 0.3
    monkeypatch.setattr(triggers, "COPY_PAUSE_SECONDS", open_seconds)
    inner, guard = (
        EmbeddedBus(tmp_path / "bus.db", topology()),
        Breaker("bus", failure=BusUnavailable, open_seconds=open_seconds),
    )

    async def later(_: Due, __: datetime) -> None:
        raise Busy("429")

    deliver = queue_function(triggers.queue_consumer(later, queue="stock", message=Due, bus=GuardedBus(inner, guard)))
    await inner.publish("stock", [Message("m", "T", b"{}")])
    await opened(guard)

    handed_out: list[int] = []
    while deliveries := await inner.receive("stock", messages_max=10):  # as a host does, until nothing is due
        for delivery in deliveries:
            handed_out.append(delivery.delivery_count)
            try:
                await deliver(delivery.message)
            except BusUnavailable:
                await inner.abandon(delivery)
            else:
                await inner.complete(delivery)

    assert handed_out == [1]
    assert await inner.counts("stock") == {"active": 0, "scheduled": 1, "dead": 0}
    inner.close()


async def test_a_copy_that_cannot_be_sent_at_all_is_the_functions_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triggers, "COPY_PAUSE_SECONDS", 0.01)
    inner = Failing(BusUnavailable("silent"))

    async def later(_: Due, __: datetime) -> None:
        raise Busy("429")

    deliver = queue_function(triggers.queue_consumer(later, queue="stock", message=Due, bus=inner))
    with pytest.raises(BusUnavailable):
        await deliver(Message("m", "T", b"{}"))

    assert inner.asked == triggers.COPY_TRIES_MAX


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (Unavailable("silent"), FAILURES_MAX),
        (Busy("429"), MORE),
        (NotFound("gone"), MORE),
        (AlreadyExists("there"), MORE),
        (StaleWrite("moved"), MORE),
        (ConditionFailed("short"), MORE),
    ],
)
async def test_only_a_silent_store_is_left_alone(error: Exception, asked: int) -> None:
    inner = Failing(error)
    store = GuardedStore(inner)  # type: ignore[arg-type]  # only `commit` is asked for
    for _ in range(MORE):
        with pytest.raises(type(error)):
            await store.commit("orders", "o", [Create("order", {})])
    assert inner.asked == asked
