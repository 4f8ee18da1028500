"""Trying again."""

import pytest

from shared.kernel.errors import Contended
from shared.retry import WRITE_ATTEMPTS_MAX, retry
from shared.store.port import Busy, StaleWrite


class Flaky:
    """Is busy some times, then answers."""

    def __init__(self, busy: int) -> None:
        self.calls = 0
        self._busy = busy

    async def ask(self, number: int) -> int:
        """The number, once it is not busy."""
        self.calls += 1
        if self.calls <= self._busy:
            raise Busy("not now")
        return number


@pytest.mark.parametrize("busy", [0, 1, 2])
async def test_whatever_gives_something_to_await_is_awaited_again(busy: int) -> None:
    """A lambda is no coroutine function, yet what it returns must be awaited the second time as well as the first."""
    flaky = Flaky(busy)

    assert await retry(lambda: flaky.ask(7), on=Busy) == 7
    assert flaky.calls == busy + 1


async def test_after_the_last_attempt_it_says_so() -> None:
    flaky = Flaky(99)

    with pytest.raises(Contended):
        await retry(lambda: flaky.ask(7), on=Busy)
    assert flaky.calls == WRITE_ATTEMPTS_MAX


async def test_anything_else_is_not_tried_again() -> None:
    flaky = Flaky(1)

    with pytest.raises(Busy):
        await retry(lambda: flaky.ask(7), on=StaleWrite)
    assert flaky.calls == 1
