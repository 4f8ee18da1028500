"""One client of Service Bus per process and event loop, with links that stay open.

Opening a link costs the SDK half a second, importing it a third of one: both happen at first use, once. The SDK's links
are not made for concurrent calls, so each is used by one caller at a time; after trouble it is opened anew.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from shared.bus.port import BusUnavailable

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

log = logging.getLogger("shared.bus.servicebus")

CALL_SECONDS_MAX: Final = 10.0  # a call answers within this, waiting for its turn on the link included
TRIES_AGAIN_MAX: Final = 2  # by the SDK, within a call
TRY_SECONDS_MAX: Final = 4.0
PAUSE_SECONDS: Final = 0.1  # before the first other try; doubled for the next
KEEP_ALIVE_SECONDS: Final = 30  # a word now and then, or Service Bus closes what is idle
_CLOSING_SECONDS: Final = 2.0


class Closable(Protocol):
    """A sender or receiver of the SDK."""

    async def close(self) -> None: ...


class Link[Handler: Closable]:
    """A sender or receiver, opened at first use and used by one caller at a time.

    :param make: a new one, not yet open
    """

    def __init__(self, make: Callable[[], Handler]) -> None:
        self._make = make
        self._turn = asyncio.Lock()
        self._handler: Handler | None = None
        self._retiring: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def use(self, seconds_max: float = CALL_SECONDS_MAX) -> AsyncIterator[Handler]:
        """The link, for one call.

        :raises BusError: what the SDK raised inside, translated
        """
        from shared.bus.servicebus_errors import HARMLESS, translated

        with translated():
            async with asyncio.timeout(seconds_max), self._turn:
                handler = self._handler = self._handler or self._make()
                try:
                    yield handler
                except HARMLESS:
                    raise
                except BaseException:
                    self._handler = None
                    self._retire(handler)
                    raise

    async def close(self) -> None:
        """Close the link."""
        handler, self._handler = self._handler, None
        if handler is not None:
            self._retire(handler)
        if self._retiring:
            await asyncio.wait(self._retiring)

    def _retire(self, handler: Handler) -> None:
        task = asyncio.create_task(_close(handler))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


async def _close(handler: Closable) -> None:
    try:
        async with asyncio.timeout(_CLOSING_SECONDS):
            await handler.close()
    except Exception as error:
        log.debug("A link did not close in order: %s", error)


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a namespace: by a connection string, or by its name and a credential.

    :param namespace: e.g. `tessera.servicebus.windows.net`
    :param credential: what gives an identity, asked when the client is made (its library takes long to import)
    :param keep_alive_seconds: 0 sends nothing on idle links, and closes them at once
    :param options: further arguments of the SDK's client, such as `custom_endpoint_address`
    """

    connection_string: str = field(default="", repr=False)
    namespace: str = ""
    credential: "Callable[[], AsyncTokenCredential] | None" = None
    keep_alive_seconds: int = KEEP_ALIVE_SECONDS
    options: dict[str, Any] = field(default_factory=dict)

    def identity(self) -> "AsyncTokenCredential | None":
        """A new identity, which whoever asked has to close; None where a connection string is used."""
        return None if self.connection_string or self.credential is None else self.credential()

    def client(self, identity: "AsyncTokenCredential | None") -> "ServiceBusClient":
        """A new client; nothing is sent yet."""
        from azure.servicebus.aio import ServiceBusClient

        settings: dict[str, Any] = {
            "retry_total": TRIES_AGAIN_MAX,
            "retry_backoff_factor": PAUSE_SECONDS,
            "retry_backoff_max": CALL_SECONDS_MAX,
            "try_timeout": TRY_SECONDS_MAX,
            "keep_alive": self.keep_alive_seconds,
            **self.options,
        }
        if self.connection_string:
            return ServiceBusClient.from_connection_string(self.connection_string, **settings)
        if identity is None or not self.namespace:
            raise ValueError("Service Bus is reached by a connection string, or by a namespace and a credential.")
        return ServiceBusClient(self.namespace, identity, **settings)


class Client:
    """The links to a namespace that this process holds open."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sdk: ServiceBusClient | None = None
        self._identity: AsyncTokenCredential | None = None
        self._senders: dict[str, Link[ServiceBusSender]] = {}
        self._dead: dict[str, Link[ServiceBusReceiver]] = {}
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def sender(self, entity: str) -> "Link[ServiceBusSender]":
        """The link on which messages are sent to a queue or topic."""
        sdk = self.sdk()
        if entity not in self._senders:
            self._senders[entity] = Link(lambda: sdk.get_queue_sender(entity))  # a topic's is the same
        return self._senders[entity]

    def dead(self, queue: str) -> "Link[ServiceBusReceiver]":
        """The link on which a queue's dead letters are looked at and taken."""
        from azure.servicebus import ServiceBusSubQueue

        sdk = self.sdk()
        if queue not in self._dead:
            self._dead[queue] = Link(lambda: sdk.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER))
        return self._dead[queue]

    def sdk(self) -> "ServiceBusClient":
        """The SDK's client of the running loop; those of a loop that ended are gone with it.

        :raises BusUnavailable: closed
        """
        if self._closed:
            raise BusUnavailable("The bus is closed.")
        loop = asyncio.get_running_loop()
        if self._sdk is None or loop is not self._loop:
            identity = self._access.identity()
            self._loop, self._sdk, self._identity = loop, self._access.client(identity), identity
            self._senders.clear()
            self._dead.clear()
        return self._sdk

    async def close(self) -> None:
        """Close every link; a later call is refused."""
        self._closed = True
        if self._loop is not asyncio.get_running_loop():
            return
        links: list[Link[Any]] = [*self._senders.values(), *self._dead.values()]
        await asyncio.gather(*(link.close() for link in links))
        if self._sdk is not None:
            await self._sdk.close()
        identity, self._identity = self._identity, None
        if identity is not None:
            await identity.close()  # the SDK leaves it open, since others might use it
