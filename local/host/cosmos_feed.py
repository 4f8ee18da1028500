"""The change feed of Cosmos DB as its trigger consumes it, through the SDK. On Azure the Functions host does this.

A lease is a document in the container `leases`, with its owner, until when it is held, and where its feed stands: a
place for each of the container's ranges.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import orjson

from shared.kernel.clock import utc_now
from shared.store.cosmos import CosmosStore
from shared.store.cosmos_account import CosmosAccount
from shared.store.cosmos_errors import trouble
from shared.store.port import (
    PAGE_MAX,
    AlreadyExists,
    Create,
    FeedBatch,
    LeaseLost,
    NotFound,
    Position,
    Replace,
    StaleWrite,
)

LEASES: Final = "leases"
POLL_SECONDS: Final = 0.25  # Azure's trigger looks every 5 s (FeedPollDelay); who tries things out should not wait


@dataclass(frozen=True, slots=True)
class _Lease:
    owner: str
    until: float
    position: str
    etag: str


class CosmosFeed:
    """A `ChangeFeed` on a Cosmos DB account.

    :param account: a connection of its own: the SDK keeps the place in a feed among the headers of the client's last
        answer, where another call's may overwrite it
    :param store: holds the leases
    :param now: the clock that leases lapse by
    """

    def __init__(self, account: CosmosAccount, store: CosmosStore, *, now: Callable[[], datetime] = utc_now) -> None:
        self._account = account
        self._store = store
        self._now = now
        self._leases: dict[str, _Lease] = {}
        self._reading = asyncio.Lock()

    async def acquire(self, container: str, lease: str, *, owner: str, seconds: float) -> bool:
        """Take or renew the lease for `seconds`; False while another live owner holds it.

        Costs a call only when less than half of `seconds` is left.
        """
        name, now = _name(container, lease), self._now().timestamp()
        known = self._leases.get(name)
        if known is not None and known.owner == owner and known.until - now > seconds / 2:
            return True
        found = await self._read(name)
        if found is not None and found.owner != owner and found.until > now:
            return False
        wanted = _Lease(owner, now + seconds, found.position if found else "", found.etag if found else "")
        return await self._write(name, wanted)

    async def changes(self, container: str, lease: str, *, owner: str, limit: int) -> FeedBatch | None:
        """The next changes after the lease's position, or None when there are none. Does not move the lease.

        :raises LeaseLost: `owner` no longer holds it
        """
        if not 1 <= limit <= PAGE_MAX:
            raise ValueError(f"A batch has 1 to {PAGE_MAX} documents, not {limit}.")
        held = self._held(container, lease, owner)
        from azure.core.exceptions import AzureError

        try:
            async with self._reading:  # one at a time: see `account`
                documents = await self._account.container(container)
                places = orjson.loads(held.position) if held.position else await _beginning(documents)
                for place in range(len(places)):
                    found, places[place]["token"] = await _page(documents, **places[place], limit=limit)
                    if found:
                        # The next batch begins with the next range, so that no busy one keeps the others waiting.
                        ahead = [*places[place + 1 :], *places[: place + 1]]
                        return FeedBatch(orjson.dumps(found).decode(), orjson.dumps(ahead).decode())
        except AzureError as error:
            raise trouble(error, what=f"The changes of {container}") from error
        return None

    async def advance(self, container: str, lease: str, *, owner: str, position: Position) -> None:
        """Move the lease on, durably.

        :raises LeaseLost: `owner` no longer holds it; the batch will be seen again
        """
        held = self._held(container, lease, owner)
        if not await self._write(_name(container, lease), replace(held, position=str(position))):
            raise LeaseLost(f"{owner!r} does not hold {lease!r} on {container!r}.")

    async def release(self, container: str, lease: str, *, owner: str) -> None:
        """Give the lease up, so that another process need not wait for it to lapse."""
        with contextlib.suppress(LeaseLost):  # then it is not ours to give up
            held = self._held(container, lease, owner)
            await self._write(_name(container, lease), replace(held, until=0.0))
            self._leases.pop(_name(container, lease), None)

    async def wait(self, timeout_seconds: float) -> None:
        """Return after a short while: nothing tells us of changes."""
        await asyncio.sleep(min(timeout_seconds, POLL_SECONDS))

    async def close(self) -> None:
        """End the connections of the feed; the store is not ours."""
        await self._account.close()

    def _held(self, container: str, lease: str, owner: str) -> _Lease:
        held = self._leases.get(_name(container, lease))
        if held is None or held.owner != owner or held.until <= self._now().timestamp():
            raise LeaseLost(f"{owner!r} does not hold {lease!r} on {container!r}.")
        return held

    async def _read(self, name: str) -> _Lease | None:
        try:
            document = await self._store.read(LEASES, name, name)
        except NotFound:
            return None
        value: Mapping[str, Any] = document.value
        return _Lease(value["owner"], value["until"], value["position"], document.etag)

    async def _write(self, name: str, lease: _Lease) -> bool:
        """Whether the lease is now as given: False when another process was quicker."""
        value = {"owner": lease.owner, "until": lease.until, "position": lease.position}
        write = Replace(name, value, lease.etag) if lease.etag else Create(name, value)
        try:
            (etag,) = await self._store.commit(LEASES, name, [write])
        except (AlreadyExists, StaleWrite, NotFound):
            self._leases.pop(name, None)
            return False
        self._leases[name] = replace(lease, etag=etag)
        return True


async def _beginning(documents: Any) -> list[dict[str, Any]]:
    """Every range of the container, none of it read: one place each, as the trigger has one lease each.

    The SDK can also read all ranges as one, but cannot go on from a token that it gave before each was read once.
    """
    return [{"feed_range": feed_range, "token": None} async for feed_range in documents.read_feed_ranges()]


async def _page(
    documents: Any, *, feed_range: Mapping[str, Any], token: str | None, limit: int
) -> tuple[list[Mapping[str, Any]], str | None]:
    """Some changes of one range, and where it stands then."""
    if token is None:
        asked = documents.query_items_change_feed(feed_range=feed_range, start_time="Beginning", max_item_count=limit)
    else:
        asked = documents.query_items_change_feed(continuation=token, max_item_count=limit)
    pages = asked.by_page()
    async for page in pages:
        found = [document async for document in page]
        return found, pages.continuation_token
    return [], token


def _name(container: str, lease: str) -> str:
    return f"{container}.{lease}"
