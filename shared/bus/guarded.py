"""The bus behind circuit breakers, for one that is reached over a network.

Dead letters have one of their own: taking them may last for a minute, too long for the one call that tries whether
messages can be sent again, and what keeps them from being looked at says little of sending.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from shared.breaker import Breaker, BreakerOpen
from shared.bus.port import DEAD_LETTERS_MAX, BusBusy, BusUnavailable, DeadLetterPage, ManagedBus, Message, Replay


class GuardedBus:
    """A `ManagedBus` that is not asked while it does not answer."""

    def __init__(self, inner: ManagedBus, sending: Breaker | None = None) -> None:
        self._inner = inner
        self._sending = sending or Breaker("bus", failure=BusUnavailable, answer=BusBusy)
        self._dead_letters = Breaker("dead-letters", failure=BusUnavailable, answer=BusBusy)

    async def publish(self, entity: str, messages: Sequence[Message]) -> None:
        """See `Bus.publish`.

        :raises BusUnavailable: no answer, or not asked
        """
        await _asked(self._sending, lambda: self._inner.publish(entity, messages))

    async def dead_counts(self) -> Mapping[str, int]:
        """See `DeadLetters.dead_counts`."""
        return await _asked(self._dead_letters, self._inner.dead_counts)

    async def peek_dead_letters(
        self,
        queue: str,
        *,
        limit: int = DEAD_LETTERS_MAX,
        after: int = 0,
        reason: str | None = None,
        type_name: str | None = None,
    ) -> DeadLetterPage:
        """See `DeadLetters.peek_dead_letters`."""
        return await _asked(
            self._dead_letters,
            lambda: self._inner.peek_dead_letters(queue, limit=limit, after=after, reason=reason, type_name=type_name),
        )

    async def replay(self, queue: str, replays: Sequence[Replay]) -> Sequence[int]:
        """See `DeadLetters.replay`."""
        return await _asked(self._dead_letters, lambda: self._inner.replay(queue, replays))

    async def discard(self, queue: str, sequence_numbers: Sequence[int]) -> Sequence[int]:
        """See `DeadLetters.discard`."""
        return await _asked(self._dead_letters, lambda: self._inner.discard(queue, sequence_numbers))


async def _asked[T](breaker: Breaker, ask: Callable[[], Awaitable[T]]) -> T:
    try:
        return await breaker.call(ask)
    except BreakerOpen as still:
        raise BusUnavailable("The bus has not answered lately, and was not asked.") from still
