"""Trying again: bounded, with full jitter, and only for what the caller names. The waiting is tenacity's work.

A store that is throttled says how long to wait, and that long is waited at least; from the second pause on the jitter
comes on top, since all who were turned away together would otherwise come back together.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from shared.kernel.errors import Contended, Kind
from shared.store.port import Busy, Unavailable

WRITE_ATTEMPTS_MAX: Final = 8
WAIT_SECONDS_MAX: Final = 0.5
RETRY_SECONDS_MAX: Final = 10.0  # no further try is begun after that; a store that is silent takes long to say nothing
TRANSIENT: Final = (Busy, Unavailable)


class StoreSilent(Contended):
    """The store does not answer; what was asked may have happened, and asking again does nothing twice."""

    kind = Kind.UNAVAILABLE
    retry_after_seconds = 5.0


async def retry[T](
    attempt: Callable[[], Awaitable[T]],
    *,
    on: type[Exception] | tuple[type[Exception], ...],
    attempts_max: int = WRITE_ATTEMPTS_MAX,
) -> T:
    """The result of `attempt`, tried again while it raises `on`.

    :param attempt: must be safe to repeat: deterministic ids, or a fresh read before each decision
    :raises Contended: it still raised the last of `attempts_max` times, or after `RETRY_SECONDS_MAX`
    :raises StoreSilent: likewise, and what it raised last says that the store does not answer
    """
    began = time.monotonic()
    try:
        return await attempt()
    except on as error:
        return await _again(attempt, on, attempts_max - 1, error, RETRY_SECONDS_MAX - (time.monotonic() - began))


async def _again[T](
    attempt: Callable[[], Awaitable[T]],
    on: type[Exception] | tuple[type[Exception], ...],
    attempts_max: int,
    first: Exception,
    seconds_left: float,
) -> T:
    import tenacity

    pause = _asked_pause(first)
    if seconds_left <= pause:
        raise _given_up(first) from first
    if pause:
        await asyncio.sleep(pause)
    jitter = tenacity.wait_random_exponential(multiplier=0.01, max=WAIT_SECONDS_MAX)
    retrying = tenacity.AsyncRetrying(
        # Before, not after: a throttled store may ask for a pause that is longer than what is left.
        stop=tenacity.stop_after_attempt(attempts_max) | tenacity.stop_before_delay(seconds_left - pause),
        wait=lambda state: jitter(state) + _asked_pause(state.outcome.exception() if state.outcome else None),
        retry=tenacity.retry_if_exception_type(on),
    )

    async def once() -> T:  # tenacity awaits only what is declared as a coroutine function, and a lambda is not
        return await attempt()

    try:
        return await retrying(once)
    except tenacity.RetryError as error:
        raise _given_up(error.last_attempt.exception()) from error


def _asked_pause(error: BaseException | None) -> float:
    """How many seconds the store asks us to wait, at least."""
    return error.retry_after_seconds if isinstance(error, Busy) else 0.0


def _given_up(last: BaseException | None) -> Contended:
    if isinstance(last, Unavailable):
        return StoreSilent("The store does not answer; send the same request again.")
    refusal = Contended("Too many changes at once; send the same request again.")
    refusal.retry_after_seconds = max(refusal.retry_after_seconds or 0.0, _asked_pause(last))
    return refusal
