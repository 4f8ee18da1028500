"""The embedded bus under `kill -9` and among several processes."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.bus.embedded import EmbeddedBus
from shared.bus.port import Message
from shared.topology import topology
from tests.faults.processes import Worker, workers

PATIENCE_SECONDS = 60.0  # only a hang takes so long


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus.db"


@contextmanager
def opened(path: Path, *, ahead: timedelta = timedelta()) -> Iterator[EmbeddedBus]:
    bus = EmbeddedBus(path, topology(), now=lambda: datetime.now(UTC) + ahead)
    try:
        yield bus
    finally:
        bus.close()


async def drained(bus: EmbeddedBus, queue: str) -> list[str]:
    found = []
    while deliveries := await bus.receive(queue, messages_max=100):
        found += [delivery.message.id for delivery in deliveries]
    return found


async def test_every_published_event_survives_kill_9_in_every_queue_it_is_for(path: Path) -> None:
    worker = Worker("publish", path, "w")
    try:
        worker.wait_ready()
        worker.go()
        acknowledged = [worker.line() for _ in range(150)]
        acknowledged += worker.kill()
    finally:
        worker.close()

    with opened(path) as bus:
        stock, notifications = await drained(bus, "stock"), await drained(bus, "notifications")

    assert set(acknowledged) <= set(stock)
    assert sorted(stock) == sorted(notifications)
    assert len(stock) == len(set(stock))


async def test_no_event_is_lost_or_done_twice_when_a_consumer_is_killed(path: Path) -> None:
    sent = [f"m{n}" for n in range(2_000)]  # more than one takes while the other has not yet begun
    with opened(path) as bus:
        await bus.publish("events", [Message(id_, "OrderPaid", b"{}") for id_ in sent])
    done: list[str] = []
    with workers(2, "consume", path) as running:
        done += [worker.line() for _ in range(20) for worker in running]
        for worker in running:
            done += worker.kill()

    with opened(path, ahead=timedelta(seconds=31)) as bus:  # the locks of the dead have lapsed
        left = await drained(bus, "stock")

    assert len(done) == len(set(done))
    assert not set(done) & set(left)
    # Only a message that one of the two completed and was killed before naming is in neither list.
    assert len(set(sent) - set(done) - set(left)) <= 2


async def test_another_process_wakes_those_who_wait(path: Path) -> None:
    with opened(path) as bus:
        waiting = asyncio.create_task(bus.wait(2 * PATIENCE_SECONDS))
        await asyncio.sleep(0.05)
        waiting.cancel()  # a cancelled waiter leaves no trace
        with workers(1, "publish", path):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await bus.receive("stock", messages_max=1):
                    await bus.wait(2 * PATIENCE_SECONDS)
