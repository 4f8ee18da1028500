"""Read models: documents rebuilt from the change feed, where a late change must never overwrite a newer one."""

from collections.abc import Mapping
from typing import Any

from shared.retry import retry
from shared.store.port import AlreadyExists, Busy, Create, NotFound, Replace, StaleWrite, Store, Unavailable


async def keep_newest(store: Store, container: str, partition: str, id_: str, value: Mapping[str, Any]) -> bool:
    """Write `value` unless what is there has the same or a higher `version`.

    :param value: has an integer `version`
    :returns: whether it was written
    """

    async def attempt() -> bool:
        try:
            there = await store.read(container, partition, id_)
        except NotFound:
            await store.commit(container, partition, [Create(id_, value)])
            return True
        if int(there.value["version"]) >= int(value["version"]):
            return False
        await store.commit(container, partition, [Replace(id_, value, there.etag)])
        return True

    return await retry(attempt, on=(AlreadyExists, StaleWrite, Busy, Unavailable))
