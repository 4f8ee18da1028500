"""The connection to a Cosmos DB account: one client a process, opened by the first call, checked before it is used."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from shared.store.cosmos_errors import RETRY_AFTER, trouble
from shared.store.port import Busy, Unavailable

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.cosmos import DatabaseAccount
    from azure.cosmos.aio import ContainerProxy, CosmosClient

CONNECT_SECONDS: Final = 3
OPEN_SECONDS: Final = 10  # the SDK alone would ask a silent account for minutes
ANSWER_SECONDS: Final = 5  # the socket's silence, for one try
CALL_SECONDS: Final = 8  # a call with all its tries and pages, waiting for a connection and a token included
THROTTLED_TRIES: Final = 3  # the SDK waits as the 429 says; after that the caller is told
THROTTLED_SECONDS: Final = 2  # the longest pause; and no further one is kept after as many
STRONG: Final = "Strong"


class CosmosAccount:
    """A database of an account.

    :param endpoint: `https://….documents.azure.com`
    :param credential: what gives an identity, asked at the first call (its library takes long to import); or a key,
        where the account is an emulator
    :param alone: whether it is an emulator of one process: whatever it says of consistency, there is no second copy
    :param options: arguments of the SDK's client that differ from ours
    """

    def __init__(
        self,
        endpoint: str,
        credential: "str | Callable[[], AsyncTokenCredential]",
        database: str,
        *,
        alone: bool = False,
        **options: Any,
    ) -> None:
        self._endpoint = endpoint
        self._credential = credential
        self._database = database
        self._alone = alone
        self._options = options
        self._identity: AsyncTokenCredential | None = None
        self._opening: asyncio.Task[CosmosClient] | None = None
        self._containers: dict[str, ContainerProxy] = {}

    async def container(self, name: str) -> "ContainerProxy":
        """A container of the database, with the connection open.

        :raises StoreError: no answer, or the account is not one we can trust
        """
        found = self._containers.get(name)
        if found is not None:
            return found
        client = await self._opened()
        made = client.get_database_client(self._database).get_container_client(name)
        return self._containers.setdefault(name, made)

    async def close(self) -> None:
        """End the connections; the next call opens them again."""
        opening, self._opening = self._opening, None
        self._containers.clear()
        if opening is not None:
            opening.cancel()
            (client,) = await asyncio.gather(opening, return_exceptions=True)
            if not isinstance(client, BaseException):
                await client.close()
        identity, self._identity = self._identity, None
        if identity is not None:
            await identity.close()

    async def _opened(self) -> "CosmosClient":
        """The client; who asks while it is being opened waits for the same attempt, not for one of their own."""
        opening = self._opening
        if opening is None or (opening.done() and (opening.cancelled() or opening.exception() is not None)):
            opening = self._opening = asyncio.create_task(self._open())
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            if opening.cancelled() and not cast("asyncio.Task[None]", asyncio.current_task()).cancelling():
                raise Unavailable("The connection to Cosmos DB was closed while it was being opened.") from None
            raise

    async def _open(self) -> "CosmosClient":
        """Connect, and refuse an account that does not promise what every guard of ours stands on."""
        from azure.core.exceptions import AzureError

        client = self._new_client()
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await client.__aenter__()  # as `async with`, but for the life of the process
                account = await client._get_database_account()  # noqa: SLF001 - there is no other way to ask for it
            if not self._alone:
                _refuse_weak(account)
        except BaseException as error:
            await client.close()
            if isinstance(error, AzureError):
                raise trouble(error, what="Connecting") from error
            if isinstance(error, TimeoutError):
                raise Unavailable(f"No answer from Cosmos DB within {OPEN_SECONDS} s.") from error
            raise
        return client

    def _new_client(self) -> "CosmosClient":
        from azure.cosmos.aio import CosmosClient

        if self._identity is None and callable(self._credential):
            self._identity = self._credential()
        settings: dict[str, Any] = {
            "connection_timeout": CONNECT_SECONDS,
            "read_timeout": ANSWER_SECONDS,
            "retry_throttle_total": THROTTLED_TRIES,
            "retry_throttle_backoff_max": THROTTLED_SECONDS,
            # A connection that breaks counts as "not sent" in the SDK, also when the write was done and only its answer
            # was lost: it would be sent again, and a patch applied twice. Who asks decides about asking again.
            "retry_connect": 0,
            "retry_read": 0,
            "enable_endpoint_discovery": False,
            "no_response_on_write": True,
            "enable_compact_utf8_item_writes": True,
            "user_agent_suffix": "tessera",
            "raw_response_hook": _refuse_long_pause,
        }
        return CosmosClient(self._endpoint, self._identity or str(self._credential), **{**settings, **self._options})


def _refuse_long_pause(response: Any) -> None:
    """Tell the caller of a pause that is longer than ours; the SDK would keep it, however long, before it gave up.

    :param response: of the SDK's pipeline
    """
    answer = response.http_response
    pause = float(answer.headers.get(RETRY_AFTER, 0)) / 1_000
    if answer.status_code == 429 and pause > THROTTLED_SECONDS:
        raise Busy(f"Cosmos DB asks for a pause of {pause:.1f} s (429).", retry_after_seconds=pause)


def _refuse_weak(account: "DatabaseAccount") -> None:
    level = (account.ConsistencyPolicy or {}).get("defaultConsistencyLevel")
    regions = len(account.WritableLocations)
    if level != STRONG or regions != 1:
        raise Unavailable(
            f"The Cosmos DB account has {level} consistency and {regions} write regions. Tessera needs Strong and one, "
            "or seats could be sold twice; see docs/azure.md."
        )
