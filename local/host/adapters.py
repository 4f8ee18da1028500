"""Where the host gets its change feed and its receiver: the one place that names an adapter.

The app's composition opens the same files in the same process; `at` gives both the same instance, so that a commit of
a function wakes the pumps without polling. Opened only when a trigger needs them.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from local.host.errors import StartRefused
from shared.bus.port import Receiver
from shared.store.port import ChangeFeed
from shared.topology import Topology

if TYPE_CHECKING:
    from shared.bus.embedded import EmbeddedBus
    from shared.store.embedded import EmbeddedStore

SECRET_SETTING = "TESSERA_SIGNING_SECRET"
PURGE_MAX = 500


@dataclass(slots=True)
class Adapters:
    """The embedded store and bus of a data directory.

    :param data: holds `store.db` and `bus.db`
    """

    data: Path
    topology: Topology
    _store: "EmbeddedStore | None" = field(default=None, init=False)
    _bus: "EmbeddedBus | None" = field(default=None, init=False)

    def receiver(self) -> Receiver:
        """The bus, for queue triggers."""
        from shared.bus.embedded import EmbeddedBus

        self._bus = EmbeddedBus.at(self.data / "bus.db", self.topology)
        return self._bus

    def feed(self) -> ChangeFeed:
        """The store, for change-feed triggers.

        :raises StartRefused: the setting that signs continuation tokens is missing
        """
        from shared.store.embedded import EmbeddedStore

        secret = os.environ.get(SECRET_SETTING, "")
        if not secret:
            raise StartRefused(f"The setting {SECRET_SETTING} is missing; the embedded store signs its tokens with it")
        self._store = EmbeddedStore.at(self.data / "store.db", self.topology, secret.encode())
        return self._store

    async def purge(self) -> int:
        """Delete some expired documents, as Cosmos does in the background; how many."""
        return await self._store.purge_expired(PURGE_MAX) if self._store is not None else 0

    def close(self) -> None:
        """Release the files that were opened here."""
        for adapter in (self._store, self._bus):
            if adapter is not None:
                adapter.close()
