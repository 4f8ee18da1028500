"""Trying again: bounded, with full jitter, and only for what the caller names. The waiting is tenacity's work."""

from collections.abc import Awaitable, Callable
from typing import Final

from shared.kernel.errors import Contended
from shared.store.port import Busy, Unavailable

WRITE_ATTEMPTS_MAX: Final = 8
WAIT_SECONDS_MAX: Final = 0.5
TRANSIENT: Final = (Busy, Unavailable)


async def retry[T](
    attempt: Callable[[], Awaitable[T]],
    *,
    on: type[Exception] | tuple[type[Exception], ...],
    attempts_max: int = WRITE_ATTEMPTS_MAX,
) -> T:
    """The result of `attempt`, tried again while it raises `on`.

    :param attempt: must be safe to repeat: deterministic ids, or a fresh read before each decision
    :raises Contended: it still raised the last of `attempts_max` times
    """
    try:
        return await attempt()
    except on:
        return await _again(attempt, on, attempts_max - 1)


async def _again[T](
    attempt: Callable[[], Awaitable[T]], on: type[Exception] | tuple[type[Exception], ...], attempts_max: int
) -> T:
    import tenacity

    retrying = tenacity.AsyncRetrying(
        stop=tenacity.stop_after_attempt(attempts_max),
        wait=tenacity.wait_random_exponential(multiplier=0.01, max=WAIT_SECONDS_MAX),
        retry=tenacity.retry_if_exception_type(on),
    )

    async def once() -> T:  # tenacity awaits only what is declared as a coroutine function, and a lambda is not
        return await attempt()

    try:
        return await retrying(once)
    except tenacity.RetryError as error:
        raise Contended("Too many changes at once; send the same request again.") from error
