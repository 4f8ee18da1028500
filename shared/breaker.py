"""A circuit breaker a neighbour: while it keeps failing we answer at once instead of waiting for it every time.

The states and their changes are purgatory's work. Added here: while it is open one call at a time may try whether the
neighbour is back, where purgatory would let everybody through at once; what began in an earlier state says nothing of
the present one, nor does a call that was called off, unless it was to try; setting back the wall clock, which
purgatory goes by, does not keep it open; and the state is a gauge.
"""

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from shared.telemetry import Log, count, gauge

if TYPE_CHECKING:
    from purgatory.domain.model import ExcludeType
    from purgatory.service._async.circuitbreaker import AsyncCircuitBreaker

FAILURES_MAX: Final = 5  # calls that fail one after the other before it opens
OPEN_SECONDS: Final = 5.0  # then one call tries again
STATES: Final = {"closed": 0, "half-opened": 1, "opened": 2}
GAUGE: Final = "breaker."
_log = Log("breaker")


class BreakerOpen(Exception):
    """The neighbour was not asked, since it has not answered lately."""


class Breaker:
    """The breaker of one neighbour, for one process.

    :param name: of the neighbour; the gauge `breaker.<name>` is 0 closed, 1 half open, 2 open
    :param failure: the errors that speak of a neighbour in trouble; any other answer is an answer
    :param answer: those of them that are answers after all
    :param open_seconds: how long it stays open before one call tries again
    """

    def __init__(
        self,
        name: str,
        *,
        failure: type[Exception],
        answer: type[Exception] | tuple[type[Exception], ...] = (),
        failures_max: int = FAILURES_MAX,
        open_seconds: float = OPEN_SECONDS,
    ) -> None:
        self._name = name
        self._failure = failure
        self._answer = answer
        self._failures_max = failures_max
        self._open_seconds = open_seconds
        self._breaker: AsyncCircuitBreaker | None = None
        self._state = "closed"
        self._changes = 0
        self._trying = False
        gauge(GAUGE + name, STATES[self._state])

    async def call[T](self, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` gives.

        :raises BreakerOpen: it was not asked
        """
        from purgatory.domain.model import OpenedState

        breaker = self._breaker or await self._made()
        _heed_clock(breaker)
        trial = breaker.context.state != "closed"
        if trial and self._trying:
            raise BreakerOpen(self._name)
        self._trying = self._trying or trial
        try:
            async with AsyncExitStack() as watched:
                await watched.enter_async_context(breaker)
                self._tell(breaker)
                begun = self._changes
                try:
                    return await ask()
                except BaseException as error:
                    if not trial and not isinstance(error, Exception):
                        watched.pop_all()  # who was called off did not wait for an answer, or for silence
                    raise
                finally:
                    if self._changes != begun:
                        watched.pop_all()  # purgatory is not told: it would take this for a word on its present state
        except OpenedState as still:
            # It is one object for as long as it is open, and each raising adds frames to it.
            still.__traceback__ = still.__context__ = None
            raise BreakerOpen(self._name) from None
        finally:
            if trial:
                self._trying = False
            self._tell(breaker)

    async def _made(self) -> "AsyncCircuitBreaker":
        from purgatory import AsyncCircuitBreakerFactory

        # Refusals are answers: whoever refuses is there. A cancelled trial says nothing good, so it is no success.
        answered: ExcludeType = [
            (Exception, lambda error: not isinstance(error, self._failure) or isinstance(error, self._answer))
        ]
        factory = AsyncCircuitBreakerFactory(self._failures_max, self._open_seconds, answered)
        self._breaker = await factory.get_breaker(self._name)
        return self._breaker

    def _tell(self, breaker: "AsyncCircuitBreaker") -> None:
        state = breaker.context.state
        if state == self._state:
            return
        gauge(GAUGE + self._name, STATES[state])
        if state == "opened":
            count("breakers_opened")
        _log.warning("breaker", neighbour=self._name, state=state, before=self._state)
        self._state = state
        self._changes += 1


def _heed_clock(breaker: "AsyncCircuitBreaker") -> None:
    """Begin its time anew if it opened in the future: somebody has set the clock back."""
    opened_at = breaker.context.opened_at
    if opened_at is not None and opened_at > time.time():
        from purgatory.domain.model import OpenedState

        breaker.context.set_state(OpenedState(breaker.context.name))
