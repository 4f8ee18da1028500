"""The Cosmos DB store when the wire fails: what was asked is sent once, and what came of it is told truly."""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn, Self

import httpx
import pytest
from azure.core.exceptions import ClientAuthenticationError

from local.emulators.cosmos.app import build
from local.emulators.cosmos.signatures import Gate, MasterKey
from local.emulators.serving import served
from shared.store import cosmos
from shared.store.cosmos import CONTINUATION_KILOBYTES, CosmosStore
from shared.store.cosmos_account import CosmosAccount
from shared.store.port import Busy, Count, Create, NotFound, Patch, Store, Unavailable
from shared.topology import Container, topology
from shared.web.paging import PageQuery

SECRET = b"a signing secret of thirty-two b"


class Wire:
    """The emulator's faults, at an address."""

    def __init__(self, endpoint: str, key: str, store: Store) -> None:
        self._endpoint = endpoint
        self.account = (endpoint, key, topology().database)
        self.store = store

    async def fault(self, kind: str, **options: Any) -> None:
        """Let it strike."""
        async with httpx.AsyncClient() as http:
            answer = await http.post(f"{self._endpoint}/_emulator/faults", json={"kind": kind, **options})
            assert answer.status_code == 200, answer.text

    async def calm(self) -> None:
        """Nothing strikes any more."""
        async with httpx.AsyncClient() as http:
            (await http.delete(f"{self._endpoint}/_emulator/faults")).raise_for_status()

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
            yield Wire(endpoint, key, store)
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
    await wire.calm()
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


async def test_a_container_that_was_not_deployed_is_no_answer_to_anything(wire: Wire) -> None:
    parcels = Container(name="parcels", partition_key="parcel_id")
    expected = topology().model_copy(update={"containers": (*topology().containers, parcels)})
    store = CosmosStore(CosmosAccount(*wire.account), expected, SECRET)
    for call in calls(store, "parcels"):
        with pytest.raises(Unavailable, match="has infra/ been deployed"):
            await call()
    await store.close()


def calls(store: Store, container: str) -> list[Callable[[], Awaitable[object]]]:
    """Everything one can ask of a store."""
    return [
        lambda: store.read(container, "p", "nobody"),
        lambda: store.commit(container, "p", [Create("somebody", {})]),
        lambda: store.query(container, "p"),
        lambda: store.counts_by(container, "p", by=["name"]),
    ]


@pytest.mark.parametrize(("operation", "place"), [("read", 0), ("batch", 1), ("query", 2), ("query", 3)])
async def test_an_answer_that_cannot_be_read_is_none_and_what_was_asked_may_have_happened(
    wire: Wire, operation: str, place: int
) -> None:
    await wire.store.commit("inventory", "p", [Create("nobody", {"name": "n"})])
    await wire.fault("garbled", operation=operation, times=1)

    with pytest.raises(Unavailable, match="cannot be read"):
        await calls(wire.store, "inventory")[place]()

    if operation == "batch":
        assert (await wire.store.read("inventory", "p", "somebody")).value == {"pool_shard": "p"}


class Nobody:
    """An identity that its authority refuses a token."""

    async def get_token(self, *_: object, **__: object) -> NoReturn:
        """Always refused."""
        refused = ClientAuthenticationError("AADSTS700016: no such application")
        refused.status_code = 400
        raise refused

    async def close(self) -> None:
        """Nothing is open."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...


async def test_an_identity_that_is_given_no_token_is_no_answer_and_not_a_mistake_of_the_question(wire: Wire) -> None:
    endpoint, _, database = wire.account
    secure = endpoint.replace("http:", "https:")  # tokens go nowhere else; none gets as far as that
    store = CosmosStore(CosmosAccount(secure, Nobody, database), topology(), SECRET)
    for call in calls(store, "inventory"):
        with pytest.raises(Unavailable, match="given no token"):
            await call()
    await store.close()


async def test_of_three_hundred_who_ask_a_silent_store_nobody_waits_longer_than_a_call_may_last(wire: Wire) -> None:
    """More than there are connections: those that wait for one wait no longer than those that have one."""
    store = CosmosStore(CosmosAccount(*wire.account, read_timeout=60), topology(), SECRET, call_seconds=1.0)
    with pytest.raises(NotFound):
        await store.read("inventory", "pool#0", "nobody")  # the account is open
    await wire.fault("slow", seconds=30)

    async with asyncio.timeout(15):  # only one without a bound of its own takes so long
        told = await asyncio.gather(
            *(store.read("inventory", "pool#0", "shard") for _ in range(300)), return_exceptions=True
        )

    assert {type(each) for each in told} == {Unavailable}
    await wire.calm()
    assert (await store.read("inventory", "pool#0", "shard")).value["n"] == 0
    await store.close()


async def test_who_waits_for_an_account_that_is_closed_meanwhile_is_told_so(wire: Wire) -> None:
    await wire.fault("slow", operation="account", seconds=2)
    account = CosmosAccount(*wire.account)
    asking = asyncio.create_task(CosmosStore(account, topology(), SECRET).read("inventory", "pool#0", "shard"))
    await asyncio.sleep(0.5)  # it has begun to open, which takes two seconds

    await account.close()

    with pytest.raises(Unavailable, match="closed while it was being opened"):
        await asking


async def test_a_continuation_of_the_greatest_length_comes_back_through_the_api(wire: Wire) -> None:
    await wire.store.commit("inventory", "pool#0", [Create(f"d{number}", {}) for number in range(3)])
    page = await wire.store.query("inventory", "pool#0", limit=2)
    assert page.continuation is not None
    assert len(page.continuation) > CONTINUATION_KILOBYTES * 1024  # the account made its own as long as it might

    given = PageQuery(continuation=page.continuation).continuation

    assert len((await wire.store.query("inventory", "pool#0", limit=2, continuation=given)).documents) == 2


async def test_a_count_of_too_many_pages_is_no_count(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosmos, "COUNT_PAGES_MAX", 1)
    for start in range(0, 1_100, 100):  # the account groups a thousand at a time
        await wire.store.commit("mail", "m", [Create(f"d{number}", {"k": "a"}) for number in range(start, start + 100)])

    with pytest.raises(Unavailable, match="more than 1 pages"):
        await wire.store.counts_by("mail", "m", by=["k"])

    monkeypatch.undo()
    assert await wire.store.counts_by("mail", "m", by=["k"]) == [Count(("a",), 1_100)]
