"""The Cosmos DB store for the contract suites: Microsoft's SDK, against the emulator on loopback."""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import uvicorn

from local.emulators.cosmos.app import build
from local.emulators.cosmos.signatures import Gate, MasterKey
from local.emulators.serving import address_of, bind_loopback
from local.host.cosmos_feed import CosmosFeed
from shared.store.cosmos import CosmosStore
from shared.store.cosmos_account import CosmosAccount
from shared.topology import Topology, topology
from tests.contract.harness import FakeClock, StoreUnderTest

ORDERED: Final = ("at", "n", "v")


def sortable() -> Topology:
    """Our containers, and indexes for what the suites order `listings` by besides."""
    found = topology()
    containers = [
        each.model_copy(update={"ordered_by": (*each.ordered_by, *ORDERED)}) if each.name == "listings" else each
        for each in found.containers
    ]
    return found.model_copy(update={"containers": tuple(containers)})


@asynccontextmanager
async def cosmos_store(folder: Path, signing_secret: bytes) -> AsyncIterator[StoreUnderTest]:
    """A store on an empty account, whose clock moves only when told to."""
    clock, key = FakeClock(), base64.b64encode(secrets.token_bytes(64)).decode()
    async with emulator(folder, key, clock) as endpoint:
        store = CosmosStore(CosmosAccount(endpoint, key, topology().database), topology(), signing_secret)
        feed = CosmosFeed(CosmosAccount(endpoint, key, topology().database), store, now=clock)
        try:
            yield StoreUnderTest(store, feed, clock.pass_time, clock)
        finally:
            await feed.close()
            await store.close()


@asynccontextmanager
async def emulator(folder: Path, key: str, clock: FakeClock) -> AsyncIterator[str]:
    """The emulator in this process; its address."""
    listener = bind_loopback(0)
    app = build(folder / "cosmos.sqlite", Gate(MasterKey(key)), topology=sortable(), now=clock)
    server = uvicorn.Server(uvicorn.Config(app, lifespan="on", log_level="warning", access_log=False))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110 - uvicorn offers a flag and no event
        await asyncio.sleep(0.005)
    try:
        yield address_of(listener)
    finally:
        server.should_exit = True
        await serving
