"""A store that misbehaves on demand, for tests: everything Cosmos may do to us and the embedded store never does.

Only tests compose it; nothing in production imports it.
"""

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.store.port import (
    Busy,
    ChangeFeed,
    Count,
    Document,
    Everywhere,
    FeedBatch,
    NotFound,
    OrderBy,
    Page,
    Position,
    Store,
    Unavailable,
    Where,
    Write,
)

VERSIONS_MAX = 4  # remembered versions of a document, to read stale ones from
DOCUMENTS_MAX = 4096  # documents whose versions are remembered
RETRY_AFTER_SECONDS = 0.01


class StoreAndFeed(Store, ChangeFeed, Protocol):
    """What the embedded store is: both halves in one object."""


@dataclass
class Misbehaviour:
    """How likely each misbehaviour is, from 0 (never) to 1 (always); may be changed at any time.

    :param stale_read: a read answers with an earlier version it gave or wrote before, where there is one
    :param throttled: a read, query or commit answers `Busy` as for 429, after which nothing happened
    :param locked: a commit answers `Busy` as for 449, after which nothing happened
    :param lost_answer: a commit happens, then answers `Unavailable`
    :param lost_request: a commit does not happen and answers `Unavailable`
    :param repeated_batch: a feed batch already done with is handed out once more
    :param dropped_batch: a feed batch is skipped and never handed out, as Azure's trigger does after a failure
    """

    stale_read: float = 0.0
    throttled: float = 0.0
    locked: float = 0.0
    lost_answer: float = 0.0
    lost_request: float = 0.0
    repeated_batch: float = 0.0
    dropped_batch: float = 0.0


class ChaosStore:
    """Wraps a store and its feed, and misbehaves as `misbehaviour` says.

    :param inner: the store that does the work
    :param seed: the same seed and calls give the same misbehaviour
    """

    def __init__(self, inner: StoreAndFeed, *, seed: int, misbehaviour: Misbehaviour | None = None) -> None:
        self._inner = inner
        self._random = random.Random(seed)  # noqa: S311 - reproducible chaos, not secrets
        self.misbehaviour = misbehaviour or Misbehaviour()
        self.count: dict[str, int] = {}
        self._versions: dict[tuple[str, str, str], deque[Document]] = {}
        self._handed: dict[tuple[str, str], FeedBatch] = {}
        self._done: dict[tuple[str, str], FeedBatch] = {}
        self._repeating: set[tuple[str, str]] = set()

    async def read(self, container: str, partition: str, id: str) -> Document:  # noqa: A002 - the field's own word
        """As the inner store, or `Busy`, or an earlier version.

        :raises StoreError: as the inner store, or by chaos
        """
        self._throttle()
        key = (container, partition, id)
        versions = self._versions.get(key)
        if versions and self._strikes("stale_read"):
            await asyncio.sleep(0)
            return self._random.choice(versions)
        document = await self._inner.read(container, partition, id)
        self._remember(key, document)
        return document

    async def commit(self, container: str, partition: str, writes: Sequence[Write]) -> Sequence[str]:
        """As the inner store, or `Busy`, or `Unavailable` with or without the commit having happened.

        :raises StoreError: as the inner store, or by chaos
        """
        self._throttle()
        if self._strikes("locked"):
            raise Busy("449: retry with (chaos).", retry_after_seconds=RETRY_AFTER_SECONDS)
        if self._strikes("lost_request"):
            await asyncio.sleep(0)
            raise Unavailable("The request was lost; nothing happened (chaos).")
        await self._remember_before(container, partition, writes)
        etags = await self._inner.commit(container, partition, writes)
        if self._strikes("lost_answer"):
            raise Unavailable("The answer was lost; the commit happened (chaos).")
        return etags

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
        """As the inner store, or `Busy`.

        :raises StoreError: as the inner store, or by chaos
        """
        self._throttle()
        return await self._inner.query(
            container, partition, where=where, order_by=order_by, limit=limit, continuation=continuation
        )

    async def counts_by(
        self, container: str, partition: str, *, by: Sequence[str], where: Sequence[Where] = ()
    ) -> Sequence[Count]:
        """As the inner store, or `Busy`.

        :raises StoreError: as the inner store, or by chaos
        """
        self._throttle()
        return await self._inner.counts_by(container, partition, by=by, where=where)

    async def acquire(self, container: str, lease: str, *, owner: str, seconds: float) -> bool:
        """As the inner feed."""
        return await self._inner.acquire(container, lease, owner=owner, seconds=seconds)

    async def changes(self, container: str, lease: str, *, owner: str, limit: int) -> FeedBatch | None:
        """As the inner feed, or the batch before once more, or the batch after the one that is never seen.

        :raises LeaseLost: `owner` no longer holds it
        """
        key = (container, lease)
        batch = await self._inner.changes(container, lease, owner=owner, limit=limit)
        if key in self._repeating or (key in self._done and self._strikes("repeated_batch")):
            self._repeating.add(key)
            return self._done[key]
        if batch is not None and self._strikes("dropped_batch"):
            await self._inner.advance(container, lease, owner=owner, position=batch.position)
            batch = await self._inner.changes(container, lease, owner=owner, limit=limit)
        if batch is not None:
            self._handed[key] = batch
        return batch

    async def advance(self, container: str, lease: str, *, owner: str, position: Position) -> None:
        """As the inner feed, remembering the batch for a repetition.

        :raises LeaseLost: `owner` no longer holds it
        """
        key = (container, lease)
        if key in self._repeating:
            self._repeating.discard(key)
            del self._done[key]  # once more, not for ever
            return
        await self._inner.advance(container, lease, owner=owner, position=position)
        if key in self._handed:
            self._done[key] = self._handed.pop(key)

    async def release(self, container: str, lease: str, *, owner: str) -> None:
        """As the inner feed."""
        await self._inner.release(container, lease, owner=owner)

    async def wait(self, timeout_seconds: float) -> None:
        """As the inner feed."""
        await self._inner.wait(timeout_seconds)

    def _throttle(self) -> None:
        if self._strikes("throttled"):
            raise Busy("429: too many requests (chaos).", retry_after_seconds=RETRY_AFTER_SECONDS)

    def _strikes(self, name: str) -> bool:
        likelihood: float = getattr(self.misbehaviour, name)
        # Nothing is drawn for what is switched off, so that switching one on leaves the others' course alone.
        if likelihood <= 0 or self._random.random() >= likelihood:
            return False
        self.count[name] = self.count.get(name, 0) + 1
        return True

    async def _remember_before(self, container: str, partition: str, writes: Sequence[Write]) -> None:
        if self.misbehaviour.stale_read <= 0:
            return
        for write in writes:
            try:
                self._remember((container, partition, write.id), await self._inner.read(container, partition, write.id))
            except NotFound:
                continue  # nothing there yet, so nothing stale to answer with later

    def _remember(self, key: tuple[str, str, str], document: Document) -> None:
        versions = self._versions.setdefault(key, deque(maxlen=VERSIONS_MAX))
        if not versions or versions[-1].etag != document.etag:
            versions.append(document)
        while len(self._versions) > DOCUMENTS_MAX:
            del self._versions[next(iter(self._versions))]
