"""Read models: documents rebuilt from the change feed, where a late change must never overwrite a newer one."""

from collections.abc import Mapping
from typing import Any

from shared.retry import retry
from shared.store.port import AlreadyExists, Busy, Create, NotFound, Replace, StaleWrite, Store, Unavailable


async def keep_newest(
    store: Store, container: str, partition: str, id_: str, value: Mapping[str, Any], *, ttl_seconds: int | None = None
) -> bool:
    """Write `value` unless what is there has the same or a higher `version`.

    :param value: has an integer `version`
    :param ttl_seconds: after how long it disappears by itself
    :returns: whether it was written
    """

    async def attempt() -> bool:
        try:
            there = await store.read(container, partition, id_)
        except NotFound:
            await store.commit(container, partition, [Create(id_, value, ttl_seconds)])
            return True
        if int(there.value["version"]) >= int(value["version"]):
            return False
        await store.commit(container, partition, [Replace(id_, value, there.etag, ttl_seconds)])
        return True

    return await retry(attempt, on=(AlreadyExists, StaleWrite, Busy, Unavailable))
