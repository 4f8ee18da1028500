"""Whether we are ready: what does not answer in time, or at all, is named; what warns does not stop us."""

import asyncio
from datetime import datetime

import pytest

from functions.operations.health import REMEMBERED, Check, Health, Readiness, breaker_warnings
from shared.breaker import FAILURES_MAX, Breaker
from shared.bus.port import BusUnavailable
from shared.kernel.clock import utc_now


async def answers(_: datetime) -> bool:
    return True


async def test_what_we_can_do_without_is_a_warning() -> None:
    async def is_away(_: datetime) -> bool:
        raise BusUnavailable("as told")

    async def ready(check: Check) -> Readiness:
        return await Health({"store": answers}, [], spared={"bus": check}).ready(utc_now())

    assert await ready(answers) == Readiness({"store": True}, [])
    assert await ready(is_away) == Readiness({"store": True}, ["Bus: does not answer."])


async def test_many_who_ask_at_once_and_again_are_told_what_one_asking_found() -> None:
    asked: list[datetime] = []

    async def counted(now: datetime) -> bool:
        asked.append(now)
        await asyncio.sleep(0)
        return len(asked) < 2

    health, now = Health({"store": counted}, [lambda: [f"asked {len(asked)} times"]]), utc_now()
    found = await asyncio.gather(*(health.ready(now) for _ in range(20)))
    assert (asked, found) == ([now], [Readiness({"store": True}, ["asked 1 times"])] * 20)

    assert (await health.ready(now + REMEMBERED * 0.99)).checks == {"store": True}
    assert (await health.ready(now + REMEMBERED)).checks == {"store": False}
    assert asked == [now, now + REMEMBERED]


async def test_what_takes_too_long_or_breaks_is_a_no_and_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.operations.health.CHECK_SECONDS_MAX", 0.05)

    async def hangs(_: datetime) -> bool:
        await asyncio.sleep(60)
        return True

    async def breaks(_: datetime) -> bool:
        raise ZeroDivisionError

    async with asyncio.timeout(30):
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
