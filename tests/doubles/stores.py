"""Stores with one guard taken out, for negative controls: what the product would be without it."""

from collections.abc import Sequence
from dataclasses import replace

from functions.inventory.repository import GATE_ID
from shared.store.port import (
    Count,
    Document,
    Everywhere,
    NotFound,
    OrderBy,
    Page,
    Patch,
    Replace,
    Store,
    Where,
    Write,
)


class Passing:
    """Hands everything on to the store beneath."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner

    async def read(self, container: str, partition: str, id: str) -> Document:  # noqa: A002 - the field's own word
        """See `Store.read`."""
        return await self.inner.read(container, partition, id)

    async def commit(self, container: str, partition: str, writes: Sequence[Write]) -> Sequence[str]:
        """See `Store.commit`."""
        return await self.inner.commit(container, partition, writes)

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
        """See `Store.query`."""
        return await self.inner.query(
            container, partition, where=where, order_by=order_by, limit=limit, continuation=continuation
        )

    async def counts_by(
        self, container: str, partition: str, *, by: Sequence[str], where: Sequence[Where] = ()
    ) -> Sequence[Count]:
        """See `Store.counts_by`."""
        return await self.inner.counts_by(container, partition, by=by, where=where)


class Unguarded(Passing):
    """Patches happen whatever their conditions say."""

    async def commit(self, container: str, partition: str, writes: Sequence[Write]) -> Sequence[str]:
        """See `Store.commit`."""
        bare = [replace(write, conditions=()) if isinstance(write, Patch) else write for write in writes]
        return await self.inner.commit(container, partition, bare)


class Blind(Passing):
    """Replaces write over whatever is there, etag or not."""

    async def commit(self, container: str, partition: str, writes: Sequence[Write]) -> Sequence[str]:
        """See `Store.commit`."""
        blind: list[Write] = []
        for write in writes:
            if isinstance(write, Replace):
                newest = await self.inner.read(container, partition, write.id)
                blind.append(replace(write, etag=newest.etag))
            else:
                blind.append(write)
        return await self.inner.commit(container, partition, blind)


class Gateless(Passing):
    """Every gate looks open, and passing it changes nothing."""

    async def read(self, container: str, partition: str, id: str) -> Document:  # noqa: A002 - the field's own word
        """See `Store.read`."""
        if id == GATE_ID:
            raise NotFound("Nobody is at the gate.")
        return await self.inner.read(container, partition, id)

    async def commit(self, container: str, partition: str, writes: Sequence[Write]) -> Sequence[str]:
        """See `Store.commit`."""
        if [write.id for write in writes] == [GATE_ID]:
            return ["1"]
        return await self.inner.commit(container, partition, writes)
