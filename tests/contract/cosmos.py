"""The Cosmos DB store for the contract suites: Microsoft's SDK, against the emulator on loopback or a real account."""

import asyncio
import base64
import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Final

import trustme

from local.emulators.cosmos.app import build
from local.emulators.cosmos.identities import AUDIENCE, Identities
from local.emulators.cosmos.signatures import Gate, MasterKey
from local.emulators.serving import Tls, served
from local.host.cosmos_feed import CosmosFeed
from shared.kernel.clock import utc_now
from shared.store.cosmos import CosmosStore
from shared.store.cosmos_account import CosmosAccount
from shared.store.paging import all_documents
from shared.store.port import EVERYWHERE, Delete, Store
from shared.topology import Topology, topology
from tests.contract.harness import FakeClock, PassTime, StoreUnderTest
from tests.emulators.cosmos.authority import PRINCIPAL, Authority, authority

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

ORDERED: Final = ("at", "n", "v")

type Credential = str | Callable[[], AsyncTokenCredential]


def sortable() -> Topology:
    """Our containers, and indexes for what the suites order `listings` by besides."""
    found = topology()
    containers = [
        each.model_copy(update={"ordered_by": (*each.ordered_by, *ORDERED)}) if each.name == "listings" else each
        for each in found.containers
    ]
    return found.model_copy(update={"containers": tuple(containers)})


@asynccontextmanager
async def with_a_key(folder: Path, signing_secret: bytes) -> AsyncIterator[StoreUnderTest]:
    """A store on an empty account, reached with its key; its clock moves only when told to."""
    clock, key = FakeClock(), base64.b64encode(secrets.token_bytes(64)).decode()
    app = build(folder / "cosmos.sqlite", Gate(MasterKey(key)), topology=sortable(), now=clock)
    async with served(app) as endpoint, _opened(endpoint, key, signing_secret, clock.pass_time, clock) as found:
        yield found


@asynccontextmanager
async def with_an_identity(folder: Path, signing_secret: bytes) -> AsyncIterator[StoreUnderTest]:
    """A store on an empty account that has no keys, reached over TLS with tokens."""
    clock = FakeClock()
    async with authority() as entra:
        gate = Gate(None, Identities(entra.url, audiences=[AUDIENCE], principals=[PRINCIPAL]))
        app = build(folder / "cosmos.sqlite", gate, topology=sortable(), now=clock)

        def identity() -> Authority:
            return entra

        async with (
            served(app, tls=_tls()) as endpoint,
            _opened(endpoint, identity, signing_secret, clock.pass_time, clock) as found,
        ):
            yield found


@asynccontextmanager
async def on_an_account(signing_secret: bytes) -> AsyncIterator[StoreUnderTest]:
    """A store on the account at `COSMOS_ENDPOINT`, emptied first; time passes as it does.

    With `COSMOS_KEY`, as Microsoft's emulator wants it, or whoever is signed in.
    """
    from azure.identity.aio import DefaultAzureCredential

    endpoint, key = os.environ["COSMOS_ENDPOINT"], os.environ.get("COSMOS_KEY", "")
    credential = key or DefaultAzureCredential
    async with _opened(endpoint, credential, signing_secret, _sleep, _seconds, alone=bool(key)) as found:
        for container in topology().containers:
            await _empty(found.store, container.name)
        yield found


@asynccontextmanager
async def _opened(
    endpoint: str,
    credential: Credential,
    signing_secret: bytes,
    pass_time: PassTime,
    now: Callable[[], datetime],
    *,
    alone: bool = False,
) -> AsyncIterator[StoreUnderTest]:
    database = topology().database
    store = CosmosStore(CosmosAccount(endpoint, credential, database, alone=alone), topology(), signing_secret)
    feed = CosmosFeed(CosmosAccount(endpoint, credential, database, alone=alone), store, now=now)
    try:
        yield StoreUnderTest(store, feed, pass_time, now)
    finally:
        await feed.close()
        await store.close()


@cache
def _tls() -> Tls:
    certificate = trustme.CA().issue_cert("127.0.0.1", "localhost")
    folder = Path(mkdtemp(prefix="tessera-tls-"))
    chain, key = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(b"".join(part.bytes() for part in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(key)
    return Tls(chain, key)


async def _sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


def _seconds() -> datetime:
    return utc_now().replace(microsecond=0)


async def _empty(store: Store, container: str) -> None:
    async for document in all_documents(lambda token: store.query(container, EVERYWHERE, continuation=token)):
        await store.commit(container, document.partition, [Delete(document.id)])
