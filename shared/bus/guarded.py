"""The bus behind a circuit breaker, for one that is reached over a network."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from shared.breaker import Breaker, BreakerOpen
from shared.bus.port import DEAD_LETTERS_MAX, BusBusy, BusUnavailable, DeadLetterPage, ManagedBus, Message, Replay


class GuardedBus:
    """A `ManagedBus` that is not asked while it does not answer."""

    def __init__(self, inner: ManagedBus, breaker: Breaker | None = None) -> None:
        self._inner = inner
        self._breaker = breaker or Breaker("bus", failure=BusUnavailable, answer=BusBusy)

    async def publish(self, entity: str, messages: Sequence[Message]) -> None:
        """See `Bus.publish`.

        :raises BusUnavailable: no answer, or not asked
        """
        await self._call(lambda: self._inner.publish(entity, messages))

    async def dead_counts(self) -> Mapping[str, int]:
        """See `DeadLetters.dead_counts`."""
        return await self._call(self._inner.dead_counts)

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
        return await self._call(
            lambda: self._inner.peek_dead_letters(queue, limit=limit, after=after, reason=reason, type_name=type_name)
        )

    async def replay(self, queue: str, replays: Sequence[Replay]) -> Sequence[int]:
        """See `DeadLetters.replay`."""
        return await self._call(lambda: self._inner.replay(queue, replays))

    async def discard(self, queue: str, sequence_numbers: Sequence[int]) -> Sequence[int]:
        """See `DeadLetters.discard`."""
        return await self._call(lambda: self._inner.discard(queue, sequence_numbers))

    async def _call[T](self, ask: Callable[[], Awaitable[T]]) -> T:
        try:
            return await self._breaker.call(ask)
        except BreakerOpen as still:
            raise BusUnavailable("The bus has not answered lately, and was not asked.") from still
