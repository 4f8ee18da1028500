"""Cosmos DB throttles, is silent, or is not the account we need: who asks is told plainly, and it is left alone."""

import asyncio
import base64
import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from functions.inventory.pools import Availability
from functions.sales.repository import ORDERS
from local.emulators.serving import served
from shared.breaker import FAILURES_MAX, STATES, Breaker
from shared.kernel.errors import Contended
from shared.store.cosmos import CosmosStore
from shared.store.cosmos_account import CosmosAccount
from shared.store.guarded import GuardedStore
from shared.store.port import Busy, NotFound, Unavailable
from shared.telemetry import gauges
from shared.topology import topology
from tests.faults.azure import Cosmos
from tests.faults.shop import PATIENCE_SECONDS, Pool
from tests.faults.shop import opened as stack_opened
from tests.faults.till import (
    CAPACITY,
    HOLDS_WRITTEN,
    ORDERS_READ,
    Till,
    opened,
)

EVENTS_READ: Final = {"operation": "read", "container": "events"}


@pytest.fixture
async def till(tmp_path: Path) -> AsyncIterator[Till]:
    async with opened(tmp_path) as found:
        yield found


async def test_the_pause_that_a_throttled_store_asks_for_is_the_refusals(till: Till) -> None:
    await till.fail(**HOLDS_WRITTEN, kind="throttle", retry_after_ms=20_400)
    with pytest.raises(Contended) as refused:
        await till.place()

    assert refused.value.retry_after_seconds == 20.4
    assert await till.left() == Availability(available=CAPACITY, held=0, sold=0, capacity=CAPACITY)


async def test_a_store_that_is_silent_is_not_asked_for_a_while_and_then_again(till: Till) -> None:
    store = GuardedStore(till.inner, Breaker("store", failure=Unavailable, open_seconds=2.0))
    await till.fail(**ORDERS_READ, kind="reset", times=1_000)
    for _ in range(FAILURES_MAX):
        with pytest.raises(Unavailable):
            await store.read(ORDERS, "ord_1", "order")
    asked = await till.hits()
    for _ in range(10):
        with pytest.raises(Unavailable, match="was not asked"):
            await store.read(ORDERS, "ord_1", "order")
    assert (await till.hits(), gauges()["breaker.store"]) == (asked, STATES["opened"])

    await till.faults.delete("/_emulator/faults")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while gauges()["breaker.store"] != STATES["closed"]:
            with contextlib.suppress(Unavailable, NotFound):  # no such order is an answer
                await store.read(ORDERS, "ord_1", "order")
            await asyncio.sleep(0.05)
    with pytest.raises(NotFound):
        await store.read(ORDERS, "ord_1", "order")


async def test_a_throttled_store_is_asked_again_however_often_it_throttles(till: Till) -> None:
    store = GuardedStore(till.inner, Breaker("store", failure=Unavailable))
    await till.fail(**ORDERS_READ, kind="throttle", times=1_000, retry_after_ms=3_000)  # longer than the SDK waits
    for _ in range(2 * FAILURES_MAX):
        with pytest.raises(Busy):
            await store.read(ORDERS, "ord_1", "order")

    assert (await till.hits(), gauges()["breaker.store"]) == (2 * FAILURES_MAX, STATES["closed"])


@pytest.mark.parametrize(
    ("level", "regions", "said"),
    [
        ("Session", 1, "Session consistency and 1 write regions"),
        ("Strong", 2, "Strong consistency and 2 write regions"),
    ],
)
async def test_an_account_on_which_no_guard_holds_is_refused_by_name(level: str, regions: int, said: str) -> None:
    async with served(weak_account(level, regions)) as endpoint:
        key = base64.b64encode(secrets.token_bytes(64)).decode()
        store = CosmosStore(CosmosAccount(endpoint, key, topology().database), topology(), b"a secret")
        with pytest.raises(Unavailable, match=f"{said}. Tessera needs Strong and one"):
            await store.read(ORDERS, "ord_1", "order")
        await store.close()


async def test_an_emulator_that_says_so_is_taken_as_it_is() -> None:
    """Microsoft's says Session, and has one copy of everything."""
    async with served(weak_account("Session", 1)) as endpoint:
        key = base64.b64encode(secrets.token_bytes(64)).decode()
        account = CosmosAccount(endpoint, key, topology().database, alone=True)
        assert (await account.container(ORDERS)).id == ORDERS
        await account.close()


def weak_account(level: str, regions: int) -> Starlette:
    async def account(request: Request) -> JSONResponse:
        here = str(request.base_url)
        places = [{"name": f"Region {n}", "databaseAccountEndpoint": here} for n in range(regions)]
        return JSONResponse(
            {
                "id": "weak",
                "writableLocations": places,
                "readableLocations": places,
                "enableMultipleWriteLocations": regions > 1,
                "userConsistencyPolicy": {"defaultConsistencyLevel": level},
            }
        )

    return Starlette(routes=[Route("/", account)])


async def test_over_http_a_throttled_stores_pause_is_the_retry_after_and_a_silent_one_makes_us_unready(
    tmp_path: Path,
) -> None:
    async with stack_opened(tmp_path, [Pool("floor", 10)], azure=True) as shop:
        cosmos = Cosmos(shop.stack, shop.http)
        [buyer] = await shop.people(1)
        url, ready = f"{shop.api}/events/{shop.event['event_id']}", f"{shop.api}/health/ready"
        throttled = {"kind": "throttle", "retry_after_ms": 20_400}
        async with cosmos.failing({**throttled, **EVENTS_READ}):
            looked = await shop.http.get(url, headers=buyer.headers)
        async with cosmos.failing({**throttled, **HOLDS_WRITTEN}):
            ordered = await shop.place(buyer, {"floor": 1})
        calm = await shop.http.get(ready)
        async with cosmos.failing({"kind": "reset", "operation": "read"}):
            silent = [await shop.http.get(url, headers=buyer.headers) for _ in range(FAILURES_MAX + 1)]
            async with asyncio.timeout(PATIENCE_SECONDS):  # what was found is remembered for some seconds
                while (unready := await shop.http.get(ready)).status_code == 200:  # noqa: ASYNC110 - another process makes it true
                    await asyncio.sleep(0.2)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (back := await shop.http.get(ready)).status_code != 200 or back.json()["warnings"]:  # noqa: ASYNC110 - another process makes it true
                await asyncio.sleep(0.2)
        found = await shop.http.get(url, headers=buyer.headers)

    assert [told(answer) for answer in (looked, ordered)] == [(503, "store-busy", "21"), (503, "contended", "21")]
    assert {told(answer) for answer in silent} == {(503, "store-unavailable", "5")}
    assert (calm.status_code, calm.json()["warnings"]) == (200, [])
    assert (unready.status_code, unready.json()["missing"]) == (503, ["store"])
    assert found.status_code == 200


def told(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, the problem's name, Retry-After."""
    return answer.status_code, answer.json()["type"].rpartition(":")[2], answer.headers["retry-after"]
