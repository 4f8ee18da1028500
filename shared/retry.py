"""Trying again: bounded, with full jitter, and only for what the caller names. The waiting is tenacity's work."""

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

    if seconds_left <= 0:
        raise _given_up(first) from first
    retrying = tenacity.AsyncRetrying(
        stop=tenacity.stop_after_attempt(attempts_max) | tenacity.stop_after_delay(seconds_left),
        wait=tenacity.wait_random_exponential(multiplier=0.01, max=WAIT_SECONDS_MAX),
        retry=tenacity.retry_if_exception_type(on),
    )

    async def once() -> T:  # tenacity awaits only what is declared as a coroutine function, and a lambda is not
        return await attempt()

    try:
        return await retrying(once)
    except tenacity.RetryError as error:
        raise _given_up(error.last_attempt.exception()) from error


def _given_up(last: BaseException | None) -> Contended:
    if isinstance(last, Unavailable):
        return StoreSilent("The store does not answer; send the same request again.")
    return Contended("Too many changes at once; send the same request again.")
