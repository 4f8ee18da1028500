"""How long messages were on their queues is measured as each is taken."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from pydantic import BaseModel

from shared.bus.embedded import EmbeddedBus
from shared.bus.port import Message
from shared.kernel.clock import utc_now
from shared.telemetry import Histogram, histograms
from shared.topology import topology
from shared.web.triggers import queue_consumer
from tests.doubles.host import queue_function


class Told(BaseModel):
    """Nothing."""


async def handled(_: Told, __: datetime) -> None:
    """Do nothing."""


async def failed(_: Told, __: datetime) -> None:
    """Fail."""
    raise LookupError("as told")


def waits(queue: str) -> Histogram:
    return histograms().get(("queue_seconds", queue), Histogram())


@pytest.mark.parametrize("zone", [None, UTC, timezone(timedelta(hours=2))])
async def test_a_message_tells_how_long_it_was_on_its_queue(tmp_path: Path, zone: timezone | None) -> None:
    """The host leaves the time zone out, which is UTC."""
    bus = EmbeddedBus(tmp_path / "bus.db", topology())
    deliver = queue_function(queue_consumer(handled, queue="stock", message=Told, bus=bus))
    moment = utc_now() - timedelta(seconds=90)
    enqueued = moment.replace(tzinfo=None) if zone is None else moment.astimezone(zone)
    before = waits("stock")

    await deliver(Message("x", "Happened", b"{}"), enqueued_at=enqueued)

    after = waits("stock")
    assert after.number == before.number + 1
    assert after.seconds - before.seconds == pytest.approx(90, abs=5)
    bus.close()


async def test_one_that_fails_is_measured_too_and_a_clock_that_is_behind_gives_no_negative_wait(tmp_path: Path) -> None:
    bus = EmbeddedBus(tmp_path / "bus.db", topology())
    deliver = queue_function(queue_consumer(failed, queue="refunds", message=Told, bus=bus))
    before = waits("refunds")

    with pytest.raises(LookupError):
        await deliver(Message("x", "Happened", b"{}"), enqueued_at=utc_now() + timedelta(seconds=30))

    after = waits("refunds")
    assert (after.number, after.seconds) == (before.number + 1, before.seconds)
    bus.close()


async def test_a_message_whose_host_does_not_tell_the_time_is_handled_and_not_measured(tmp_path: Path) -> None:
    bus = EmbeddedBus(tmp_path / "bus.db", topology())
    deliver = queue_function(queue_consumer(handled, queue="payments", message=Told, bus=bus))
    before = waits("payments").number
    await deliver(Message("x", "Happened", b"{}"))
    assert waits("payments").number == before
    bus.close()
