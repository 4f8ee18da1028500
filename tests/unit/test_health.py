"""Whether we are ready: what does not answer in time, or at all, is named; what warns does not stop us."""

import asyncio
from datetime import datetime
from pathlib import Path

import pytest

from functions.operations.health import Health, Readiness, breaker_warnings
from functions.operations.watch import DeadLetterWatch
from shared.breaker import FAILURES_MAX, Breaker
from shared.bus.embedded import EmbeddedBus
from shared.kernel.clock import utc_now
from shared.topology import topology


async def answers(_: datetime) -> bool:
    return True


async def test_a_bus_that_is_away_is_a_warning(tmp_path: Path) -> None:
    bus = EmbeddedBus(tmp_path / "bus.db", topology())

    async def ready() -> Readiness:
        watch = DeadLetterWatch(bus)
        return await Health({"store": answers}, [watch.warnings], spared={"bus": watch.bus_answers}).ready(utc_now())

    assert await ready() == Readiness({"store": True}, [])
    bus.close()
    assert await ready() == Readiness({"store": True}, ["Bus: does not answer."])


async def test_what_takes_too_long_or_breaks_is_a_no_and_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.operations.health.CHECK_SECONDS_MAX", 0.05)

    async def hangs(_: datetime) -> bool:
        await asyncio.sleep(60)
        return True

    async def breaks(_: datetime) -> bool:
        raise ZeroDivisionError

    async with asyncio.timeout(5):
        found = await Health({"slow": hangs, "broken": breaks, "well": answers}, []).ready(utc_now())

    assert found.checks == {"slow": False, "broken": False, "well": True}


async def test_a_neighbour_whose_breaker_is_open_is_a_warning() -> None:
    breaker = Breaker("telegraph", failure=OSError)

    async def silence() -> None:
        raise OSError

    for _ in range(FAILURES_MAX):
        with pytest.raises(OSError):
            await breaker.call(silence)

    warning = "Telegraph: has not answered lately, and is asked only now and then."
    assert warning in (await Health({"store": answers}, [breaker_warnings]).ready(utc_now())).warnings
