"""The connection to a Cosmos DB account: one client a process, opened by the first call, checked before it is used."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from shared.store.cosmos_errors import trouble
from shared.store.port import Unavailable

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.cosmos import DatabaseAccount
    from azure.cosmos.aio import ContainerProxy, CosmosClient

CONNECT_SECONDS: Final = 3
ANSWER_SECONDS: Final = 5  # the socket's silence, for one try
CALL_SECONDS: Final = 8  # a call with all its tries
THROTTLED_TRIES: Final = 3  # the SDK waits as the 429 says; after that the caller is told
THROTTLED_SECONDS: Final = 2
STRONG: Final = "Strong"


class CosmosAccount:
    """A database of an account.

    :param endpoint: `https://….documents.azure.com`
    :param credential: what gives an identity, asked at the first call (its library takes long to import); or a key,
        where the account is an emulator
    """

    def __init__(
        self, endpoint: str, credential: "str | Callable[[], AsyncTokenCredential]", database: str, **options: Any
    ) -> None:
        self._endpoint = endpoint
        self._credential = credential
        self._database = database
        self._options = options
        self._client: CosmosClient | None = None
        self._containers: dict[str, ContainerProxy] = {}
        self._identity: AsyncTokenCredential | None = None
        self._opening = asyncio.Lock()

    async def container(self, name: str) -> "ContainerProxy":
        """A container of the database, with the connection open.

        :raises StoreError: no answer, or the account is not one we can trust
        """
        found = self._containers.get(name)
        if found is not None:
            return found
        async with self._opening:
            client = self._client or await self._open()
            self._client = client
        made = client.get_database_client(self._database).get_container_client(name)
        return self._containers.setdefault(name, made)

    async def close(self) -> None:
        """End the connections; the next call opens them again."""
        client, self._client = self._client, None
        self._containers.clear()
        if client is not None:
            await client.close()
        identity, self._identity = self._identity, None
        if identity is not None:
            await identity.close()

    async def _open(self) -> "CosmosClient":
        """Connect, and refuse an account that does not promise what every guard of ours stands on."""
        from azure.core.exceptions import AzureError
        from azure.cosmos.aio import CosmosClient

        if callable(self._credential):
            self._identity = self._credential()
        client = CosmosClient(
            self._endpoint,
            self._identity or str(self._credential),
            connection_timeout=CONNECT_SECONDS,
            read_timeout=ANSWER_SECONDS,
            retry_throttle_total=THROTTLED_TRIES,
            retry_throttle_backoff_max=THROTTLED_SECONDS,
            retry_connect=1,
            retry_read=1,
            no_response_on_write=True,
            enable_compact_utf8_item_writes=True,
            user_agent_suffix="tessera",
            **self._options,
        )
        try:
            await client.__aenter__()  # as `async with`, but for the life of the process
            account = await client._get_database_account()  # noqa: SLF001 - there is no other way to ask for it
            _refuse_weak(account)
        except AzureError as error:
            await client.close()
            raise trouble(error, what="Connecting") from error
        except BaseException:
            await client.close()
            raise
        return client


def _refuse_weak(account: "DatabaseAccount") -> None:
    level = (account.ConsistencyPolicy or {}).get("defaultConsistencyLevel")
    regions = len(account.WritableLocations)
    if level != STRONG or regions != 1:
        raise Unavailable(
            f"The Cosmos DB account has {level} consistency and {regions} write regions. Tessera needs Strong and one, "
            "or seats could be sold twice; see docs/azure.md."
        )
