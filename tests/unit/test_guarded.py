"""Breakers before store and bus: silence opens them, and an answer never does, whatever it says."""

from collections.abc import Sequence

import pytest

from shared.breaker import FAILURES_MAX
from shared.bus.guarded import GuardedBus
from shared.bus.port import BusBusy, BusUnavailable, Message, MessageRefused
from shared.store.guarded import GuardedStore
from shared.store.port import AlreadyExists, Busy, ConditionFailed, Create, NotFound, StaleWrite, Unavailable, Write
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
