"""The Cosmos DB store when the wire fails: what was asked is sent once, and what came of it is told truly."""

import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.emulators.cosmos.app import build
from local.emulators.cosmos.signatures import Gate, MasterKey
from local.emulators.serving import served
from shared.store.cosmos import CosmosStore
from shared.store.cosmos_account import CosmosAccount
from shared.store.port import Busy, Create, NotFound, Patch, Store, Unavailable
from shared.topology import topology

SECRET = b"a signing secret of thirty-two b"


class Wire:
    """The emulator's faults, at an address."""

    def __init__(self, endpoint: str, store: Store) -> None:
        self._endpoint = endpoint
        self.store = store

    async def fault(self, kind: str, **options: Any) -> None:
        """Let it strike."""
        async with httpx.AsyncClient() as http:
            answer = await http.post(f"{self._endpoint}/_emulator/faults", json={"kind": kind, **options})
            assert answer.status_code == 200, answer.text

    async def counted(self) -> int:
        """The counter that the tests add to."""
        return int((await self.store.read("inventory", "pool#0", "shard")).value["n"])


@asynccontextmanager
async def wire_to(folder: Path, **options: Any) -> AsyncIterator[Wire]:
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    app = build(folder / "cosmos.sqlite", Gate(MasterKey(key)), topology=topology())
    async with served(app) as endpoint:
        account = CosmosAccount(endpoint, key, topology().database, **options)
        store = CosmosStore(account, topology(), SECRET)
        await store.commit("inventory", "pool#0", [Create("shard", {"n": 0})])
        try:
            yield Wire(endpoint, store)
        finally:
            await store.close()


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    async with wire_to(tmp_path) as running:
        yield running


ADD = Patch("shard", increments={"n": 1})


@pytest.mark.parametrize("kind", ["reset", "unavailable", "timeout"])
async def test_a_write_whose_answer_is_lost_is_not_sent_again_and_may_have_happened(wire: Wire, kind: str) -> None:
    await wire.fault(kind, performed=True, operation="batch", times=1)

    with pytest.raises(Unavailable):
        await wire.store.commit("inventory", "pool#0", [ADD])

    assert await wire.counted() == 1


async def test_left_to_its_own_devices_the_sdk_applies_a_patch_twice(tmp_path: Path) -> None:
    """The control: without our options nobody would notice."""
    careless = {"retry_connect": 1, "retry_read": 1, "enable_endpoint_discovery": True}
    async with wire_to(tmp_path, **careless) as wire:
        await wire.fault("reset", performed=True, operation="batch", times=1)

        await wire.store.commit("inventory", "pool#0", [ADD])

        assert await wire.counted() == 2


@pytest.mark.parametrize("inside", [False, True])
async def test_a_throttled_write_did_not_happen_and_says_how_long_to_wait(wire: Wire, inside: bool) -> None:
    await wire.fault("throttle", operation="batch", inside=inside, times=20)

    with pytest.raises(Busy) as busy:
        await wire.store.commit("inventory", "pool#0", [ADD])

    assert busy.value.retry_after_seconds > 0
    await _calm(wire)
    assert await wire.counted() == 0


async def test_a_document_another_writer_is_at_makes_us_busy(wire: Wire) -> None:
    await wire.fault("retry_with", operation="batch", times=1)

    with pytest.raises(Busy):
        await wire.store.commit("inventory", "pool#0", [ADD])

    assert await wire.counted() == 0


async def test_a_document_that_is_not_there_is_told_from_a_container_that_is_not(wire: Wire) -> None:
    with pytest.raises(NotFound):
        await wire.store.read("inventory", "pool#0", "nobody")
    with pytest.raises(ValueError, match="no container"):
        await wire.store.read("nowhere", "pool#0", "nobody")


async def _calm(wire: Wire) -> None:
    async with httpx.AsyncClient() as http:
        (await http.delete(f"{wire._endpoint}/_emulator/faults")).raise_for_status()
