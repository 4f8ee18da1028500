"""Where the host gets its change feed and its receiver: the one place that names an adapter.

The app's composition opens the same embedded files in the same process; `at` gives both the same instance, so that a
commit of a function wakes the pumps without polling. Opened only when a trigger needs them. With `TESSERA_STORE=cosmos`
and `TESSERA_BUS=servicebus` the host consumes those instead, as Azure's does.
"""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from local.host.errors import StartRefused
from shared.bus.port import Receiver
from shared.store.port import ChangeFeed
from shared.topology import Topology

if TYPE_CHECKING:
    from shared.store.embedded import EmbeddedStore

SECRET_SETTING = "TESSERA_SIGNING_SECRET"
PURGE_MAX = 500


@dataclass(slots=True)
class Adapters:
    """What the triggers of an app read from.

    :param data: holds the embedded `store.db` and `bus.db`
    """

    data: Path
    topology: Topology
    _embedded: "EmbeddedStore | None" = field(default=None, init=False)
    _receiver: Receiver | None = field(default=None, init=False)
    _feed: ChangeFeed | None = field(default=None, init=False)
    _closing: list[Callable[[], Awaitable[None]]] = field(default_factory=list, init=False)

    def receiver(self) -> Receiver:
        """The bus, for queue triggers.

        :raises SettingsRefused: Service Bus is wanted, and a setting is missing
        """
        if self._receiver is None:
            self._receiver = (
                self._service_bus() if os.environ.get("TESSERA_BUS") == "servicebus" else self._embedded_bus()
            )
        return self._receiver

    def feed(self) -> ChangeFeed:
        """The store, for change-feed triggers.

        :raises StartRefused: the setting that signs continuation tokens is missing
        :raises SettingsRefused: Cosmos DB is wanted, and a setting is missing
        """
        if self._feed is None:
            self._feed = self._cosmos_feed() if os.environ.get("TESSERA_STORE") == "cosmos" else self._embedded_feed()
        return self._feed

    async def purge(self) -> int:
        """Delete some expired documents, as Cosmos does in the background; how many."""
        return await self._embedded.purge_expired(PURGE_MAX) if self._embedded is not None else 0

    async def close(self) -> None:
        """Release what was opened here."""
        for close in self._closing:
            await close()

    def _embedded_bus(self) -> Receiver:
        from shared.bus.embedded import EmbeddedBus

        bus = EmbeddedBus.at(self.data / "bus.db", self.topology)
        self._close_by(bus.close)
        return bus

    def _service_bus(self) -> Receiver:
        from functions.composition.adapters import servicebus_client
        from local.host.servicebus import ServiceBusReceiver
        from shared.settings import settings

        client = servicebus_client(settings())
        receiver = ServiceBusReceiver(client, self.topology)
        self._closing += [receiver.close, client.close]
        return receiver

    def _embedded_feed(self) -> ChangeFeed:
        from shared.store.embedded import EmbeddedStore

        secret = os.environ.get(SECRET_SETTING, "")
        if not secret:
            raise StartRefused(f"The setting {SECRET_SETTING} is missing; the embedded store signs its tokens with it")
        self._embedded = EmbeddedStore.at(self.data / "store.db", self.topology, secret.encode())
        self._close_by(self._embedded.close)
        return self._embedded

    def _cosmos_feed(self) -> ChangeFeed:
        from functions.composition.adapters import cosmos_account
        from local.host.cosmos_feed import CosmosFeed
        from shared.settings import settings
        from shared.store.cosmos import CosmosStore

        chosen = settings()
        secret = chosen.tessera_signing_secret.get_secret_value().encode()
        leases = CosmosStore(cosmos_account(chosen), self.topology, secret)
        feed = CosmosFeed(cosmos_account(chosen), leases)
        self._closing += [feed.close, leases.close]
        return feed

    def _close_by(self, close: Callable[[], None]) -> None:
        async def closing() -> None:
            close()

        self._closing.append(closing)
