"""The adapters every contract suite runs against; an adapter added here must pass the suites unchanged."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.bus.embedded import EmbeddedBus
from shared.bus.port import Bus, Receiver
from shared.store.embedded import EmbeddedStore
from shared.topology import topology
from tests.contract.cosmos import on_an_account, with_a_key, with_an_identity
from tests.contract.harness import BusUnderTest, FakeClock, StoreUnderTest
from tests.contract.servicebus import real_servicebus, servicebus

REAL_BUS = {"SERVICEBUS_NAMESPACE", "SERVICEBUS_CONNECTION"}
SIGNING_SECRET = b"a signing secret of thirty-two b"


@pytest.fixture(
    params=["embedded", "cosmos", "cosmos-identity", *(["cosmos-account"] if "COSMOS_ENDPOINT" in os.environ else [])]
)
async def under_test(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StoreUnderTest]:
    """A fresh, empty store of each kind."""
    if request.param == "embedded":
        clock = FakeClock()
        store = EmbeddedStore(tmp_path / "store.db", topology(), SIGNING_SECRET, now=clock)
        yield StoreUnderTest(store, store, clock.pass_time, clock)
        store.close()
        return
    ways = {
        "cosmos": lambda: with_a_key(tmp_path, SIGNING_SECRET),
        "cosmos-identity": lambda: with_an_identity(tmp_path, SIGNING_SECRET),
        "cosmos-account": lambda: on_an_account(SIGNING_SECRET),
    }
    async with ways[request.param]() as found:
        yield found


@pytest.fixture(params=["embedded", "servicebus", *(["namespace"] if REAL_BUS & os.environ.keys() else [])])
async def bus_under_test(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BusUnderTest]:
    """A fresh, empty bus of each kind."""
    if request.param != "embedded":
        async with servicebus(tmp_path) if request.param == "servicebus" else real_servicebus() as found:
            yield found
        return
    clock = FakeClock()
    bus = EmbeddedBus(tmp_path / "bus.db", topology(), now=clock)
    yield BusUnderTest(bus, bus, bus, clock.pass_time, clock)
    bus.close()


@pytest.fixture
def bus(bus_under_test: BusUnderTest) -> Bus:
    return bus_under_test.bus


@pytest.fixture
def receiver(bus_under_test: BusUnderTest) -> Receiver:
    return bus_under_test.receiver
