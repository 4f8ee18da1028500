"""Read models: documents rebuilt from the change feed, where a late change must never overwrite a newer one."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from shared.retry import retry
from shared.store.port import AlreadyExists, Busy, Create, NotFound, Replace, StaleWrite, Store, Unavailable


async def keep_newest(
    store: Store,
    container: str,
    partition: str,
    id_: str,
    value: Mapping[str, Any],
    *,
    ttl_seconds: int | None = None,
    still: Callable[[], Awaitable[bool]] | None = None,
) -> bool:
    """Write `value` unless what is there has the same or a higher `version`.

    Of one version, the value with the higher `schema_version` (0 where it has none) is the newer one: so a read model
    that gets new fields is written anew when its feed is read again from the beginning.

    :param value: has an integer `version`, and may have an integer `schema_version`
    :param ttl_seconds: after how long it disappears by itself
    :param still: asked before what is not there is made: whether `value` still is of there at all. A change that comes
        late finds no newer version where the thing was taken away meanwhile
    :returns: whether it was written
    """

    async def attempt() -> bool:
        try:
            there = await store.read(container, partition, id_)
        except NotFound:
            if still is not None and not await still():
                return False
            await store.commit(container, partition, [Create(id_, value, ttl_seconds)])
            return True
        if _newness(there.value) >= _newness(value):
            return False
        await store.commit(container, partition, [Replace(id_, value, there.etag, ttl_seconds)])
        return True

    return await retry(attempt, on=(AlreadyExists, StaleWrite, Busy, Unavailable))


def _newness(value: Mapping[str, Any]) -> tuple[int, int]:
    return int(value["version"]), int(value.get("schema_version", 0))
