"""The emulator as its tests use it: on the test's own loop, with a clock that moves only when told to."""

from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest
from azure.cosmos.aio import ContainerProxy, CosmosClient

from local.emulators.cosmos.app import build
from local.emulators.cosmos.signatures import Gate, MasterKey
from local.emulators.serving import served
from shared.kernel.clock import utc_now
from shared.topology import topology
from tests.emulators.cosmos.rest import Rest

KEY = b64encode(b"the account's key of the tests, 64 bytes or so").decode()


@dataclass
class Clock:
    """Stands still until told otherwise."""

    moment: datetime = field(default_factory=utc_now)

    def __call__(self) -> datetime:
        """The present moment."""
        return self.moment

    def pass_time(self, seconds: float) -> None:
        """Move on."""
        self.moment += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def url(tmp_path: Path, clock: Clock) -> AsyncIterator[str]:
    app = build(tmp_path / "cosmos.sqlite", Gate(MasterKey(KEY)), topology=topology(), now=clock)
    async with served(app) as address:
        yield address


@pytest.fixture
async def rest(url: str) -> AsyncIterator[Rest]:
    async with httpx.AsyncClient(timeout=60) as http:
        yield Rest(http, url, KEY)


@pytest.fixture
async def client(url: str) -> AsyncIterator[CosmosClient]:
    async with CosmosClient(url, KEY) as client:
        yield client


@pytest.fixture
def listings(client: CosmosClient) -> ContainerProxy:
    return client.get_database_client("tessera").get_container_client("listings")
