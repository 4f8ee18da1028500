"""The store behind a circuit breaker, for one that is reached over a network.

While it is silent every call would wait for seconds, and those who wait fill the process. Being throttled is an answer:
`Busy` carries its own pause and never opens the breaker.
"""

from collections.abc import Awaitable, Callable, Sequence

from shared.breaker import Breaker, BreakerOpen
from shared.store.port import Count, Document, Everywhere, OrderBy, Page, Store, Unavailable, Where, Write


class GuardedStore:
    """A `Store` that is not asked while it does not answer."""

    def __init__(self, inner: Store, breaker: Breaker | None = None) -> None:
        self._inner = inner
        self._breaker = breaker or Breaker("store", failure=Unavailable)

    async def read(self, container: str, partition: str, id: str) -> Document:  # noqa: A002 - the field's own word
        """See `Store.read`.

        :raises Unavailable: no answer, or not asked
        """
        return await self._call(lambda: self._inner.read(container, partition, id))

    async def commit(self, container: str, partition: str, writes: Sequence[Write]) -> Sequence[str]:
        """See `Store.commit`.

        :raises Unavailable: no answer, or not asked
        """
        return await self._call(lambda: self._inner.commit(container, partition, writes))

    async def query(
        self,
        container: str,
        partition: str | Everywhere,
        *,
        where: Sequence[Where] = (),
        order_by: OrderBy | None = None,
        limit: int = 50,
        continuation: str | None = None,
    ) -> Page:
        """See `Store.query`.

        :raises Unavailable: no answer, or not asked
        """
        return await self._call(
            lambda: self._inner.query(
                container, partition, where=where, order_by=order_by, limit=limit, continuation=continuation
            )
        )

    async def counts_by(
        self, container: str, partition: str, *, by: Sequence[str], where: Sequence[Where] = ()
    ) -> Sequence[Count]:
        """See `Store.counts_by`.

        :raises Unavailable: no answer, or not asked
        """
        return await self._call(lambda: self._inner.counts_by(container, partition, by=by, where=where))

    async def _call[T](self, ask: Callable[[], Awaitable[T]]) -> T:
        try:
            return await self._breaker.call(ask)
        except BreakerOpen as still:
            raise Unavailable("The store has not answered lately, and was not asked.") from still
