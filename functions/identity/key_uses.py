"""When service keys were last used, in a container of its own.

Every service notes it, and what a service may write it may also forge: so who only checks keys may not write keys.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from functions.identity.service_keys import ServiceKey
from shared.auth.service_tokens import ServiceKeyId
from shared.kernel.clock import stamp
from shared.store.port import (
    AlreadyExists,
    Busy,
    CommitRefused,
    Create,
    NotFound,
    Patch,
    Store,
    Unavailable,
)
from shared.telemetry import Log

KEY_USES: Final = "keyuses"
USED_EVERY: Final = timedelta(minutes=5)  # `last_used_at` is written at most this often by a process
NOTED_MAX: Final = 10_000
KEPT_SECONDS: Final = 500 * 86_400  # without a use: a key lives 400 days at most, and is shown 90 days longer
_ID: Final = "use"
_log = Log("identity")


class KeyUses:
    """Notes and tells when keys were last used, a partition a key."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._noted: OrderedDict[ServiceKeyId, datetime] = OrderedDict()

    async def note(self, key_id: ServiceKeyId, now: datetime) -> None:
        """Write down that a key is used: seldom, and no request fails by it."""
        before = self._noted.get(key_id)
        if before is not None and abs(now - before) < USED_EVERY:  # whichever way somebody sets the clock
            return
        self._noted[key_id] = now
        self._noted.move_to_end(key_id)
        if len(self._noted) > NOTED_MAX:
            self._noted.popitem(last=False)
        try:
            await self._write(key_id, now)
        except (Busy, Unavailable, CommitRefused) as trouble:
            _log.warning("key_use_not_noted", key_id=key_id, reason=repr(trouble))

    async def filled_in(self, keys: Sequence[ServiceKey]) -> list[ServiceKey]:
        """The keys, with when they were last used."""
        return list(await asyncio.gather(*(self._filled_in(key) for key in keys)))

    async def _write(self, key_id: ServiceKeyId, now: datetime) -> None:
        at = {"last_used_at": stamp(now)}
        try:
            await self._store.commit(KEY_USES, key_id, [Patch(_ID, sets=at)])
        except NotFound:
            first = Create(_ID, {"kind": "key-use", **at}, KEPT_SECONDS)
            try:
                await self._store.commit(KEY_USES, key_id, [first])
            except AlreadyExists:
                return  # another process was as quick, in the same moment

    async def _filled_in(self, key: ServiceKey) -> ServiceKey:
        try:
            used = await self._store.read(KEY_USES, key.key_id, _ID)
        except NotFound:
            return key
        return key.model_copy(update={"last_used_at": datetime.fromisoformat(str(used.value["last_used_at"]))})
