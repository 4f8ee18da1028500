"""Trying again."""

import asyncio
import time

import pytest

from shared.kernel.errors import Contended, Kind
from shared.retry import StoreSilent, retry
from shared.store.port import Busy, StaleWrite, Unavailable


class Attempts:
    """Fails a number of times, then answers."""

    def __init__(self, failures: int, error: type[Exception] = Busy) -> None:
        self.left = failures
        self.error = error

    async def once(self, answer: str = "done") -> str:
        if self.left:
            self.left -= 1
            raise self.error("not now")
        return answer


@pytest.mark.parametrize("failures", [0, 1, 3])
async def test_the_answer_of_a_lambda_is_awaited_however_often_it_is_tried(failures: int) -> None:
    attempts = Attempts(failures)
    assert await retry(lambda: attempts.once("an answer"), on=Busy) == "an answer"


async def test_after_the_last_attempt_it_is_contended() -> None:
    attempts = Attempts(3)
    with pytest.raises(Contended):
        await retry(attempts.once, on=Busy, attempts_max=3)
    assert attempts.left == 0


async def test_other_errors_are_not_tried_again() -> None:
    attempts = Attempts(1, StaleWrite)
    with pytest.raises(StaleWrite):
        await retry(attempts.once, on=Busy)
    assert await attempts.once() == "done"


async def test_a_store_that_says_nothing_to_the_last_is_silent_not_contended() -> None:
    attempts = Attempts(3, Unavailable)
    with pytest.raises(StoreSilent) as silent:
        await retry(attempts.once, on=(Busy, Unavailable), attempts_max=3)
    assert (silent.value.kind, silent.value.retry_after_seconds) == (Kind.UNAVAILABLE, 5.0)


@pytest.mark.parametrize(("budget", "tries"), [(100.0, 1), (300.0, 2)])
async def test_no_try_is_begun_once_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch, budget: float, tries: int
) -> None:
    monkeypatch.setattr("shared.retry.RETRY_SECONDS_MAX", budget)
    tried, real = 0, time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + 200.0 * tried)  # so long does each try take

    async def slow() -> None:
        nonlocal tried
        tried += 1
        raise Unavailable("not after this long either")

    with pytest.raises(StoreSilent):
        await retry(slow, on=Unavailable)
    assert tried == tries


class Throttled:
    """Turns away with these pauses to keep, one after the other, and looks at the clock."""

    def __init__(self, *pauses: float) -> None:
        self._pauses = list(pauses)
        self.asked: list[float] = []

    async def once(self) -> str:
        self.asked.append(asyncio.get_running_loop().time())
        if self._pauses:
            raise Busy("429", retry_after_seconds=self._pauses.pop(0))
        return "done"


async def test_the_pauses_that_a_throttled_store_asks_for_are_kept() -> None:
    store = Throttled(0.3, 0.2)
    assert await retry(store.once, on=Busy) == "done"
    first, second, third = store.asked
    assert second - first >= 0.3
    assert third - second >= 0.2


@pytest.mark.parametrize("pauses", [(60.0,), (0.0, 60.0)])
async def test_a_pause_longer_than_what_is_left_is_not_sat_out_but_handed_on(pauses: tuple[float, ...]) -> None:
    store = Throttled(*pauses)
    with pytest.raises(Contended) as contended:
        await retry(store.once, on=Busy)
    assert (len(store.asked), contended.value.retry_after_seconds) == (len(pauses), 60.0)
