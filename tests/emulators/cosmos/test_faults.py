"""Failures on demand, and what Microsoft's SDK makes of them."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from azure.core.exceptions import AzureError
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError

from tests.emulators.cosmos.conftest import KEY
from tests.emulators.cosmos.rest import LISTINGS, Rest, ids

STATUSES = "https://learn.microsoft.com/rest/api/cosmos-db/http-status-codes-for-cosmosdb"
A = {"id": "a", "list_id": "public", "n": 1}
INCREMENT = [{"op": "incr", "path": "/n", "value": 1}]


@pytest.fixture
async def patient(url: str) -> AsyncIterator[ContainerProxy]:
    """The SDK with its default retries."""
    async with CosmosClient(url, KEY) as client:
        yield client.get_database_client("tessera").get_container_client("listings")


@pytest.fixture
async def careful(url: str) -> AsyncIterator[ContainerProxy]:
    """The SDK told to send nothing twice whose answer is missing or says 503."""
    options: dict[str, Any] = {"retry_connect": 0, "retry_read": 0, "enable_endpoint_discovery": False}
    async with CosmosClient(url, KEY, **options) as client:
        yield client.get_database_client("tessera").get_container_client("listings")


@pytest.mark.parametrize(
    ("kind", "status", "substatus", "pause"),
    [
        ("throttle", 429, "3200", "10"),
        ("retry_with", 449, None, "10"),
        ("unavailable", 503, None, None),
        ("gone", 410, "1002", None),
        ("timeout", 408, None, None),
    ],
)
@pytest.mark.parametrize("performed", [False, True])
async def test_a_status_on_demand(
    rest: Rest, kind: str, status: int, substatus: str | None, pause: str | None, performed: bool
) -> None:
    await rest.fault(kind, performed=performed, operation="create")

    answer = await rest.create(A)
    after = await rest.query("SELECT * FROM c")

    assert answer.status_code == status, STATUSES
    assert answer.headers.get("x-ms-substatus") == substatus
    assert answer.headers.get("x-ms-retry-after-ms") == pause
    assert ids(after) == (["a"] if performed else [])


@pytest.mark.parametrize("performed", [False, True])
async def test_a_connection_is_cut_before_or_after_the_write(rest: Rest, performed: bool) -> None:
    await rest.fault("reset", performed=performed)

    with pytest.raises(httpx.TransportError):
        await rest.create(A)

    assert ids(await rest.query("SELECT * FROM c")) == (["a"] if performed else [])


async def test_a_fault_hits_only_what_it_is_meant_for(rest: Rest) -> None:
    await rest.fault("throttle", operation="read", container="orders")
    await rest.create(A)

    unhurt = await rest.ask("GET", f"{LISTINGS}/docs/a", partition="public")
    orders = "dbs/tessera/colls/orders/docs/x"
    hit = await rest.ask("GET", orders, partition="x")
    over = await rest.ask("GET", orders, partition="x")

    assert [unhurt.status_code, hit.status_code, over.status_code] == [200, 429, 404]


async def test_a_stale_read_sees_the_version_before(rest: Rest) -> None:
    """As consistency weaker than Strong may: https://learn.microsoft.com/azure/cosmos-db/consistency-levels"""
    stale = {"times": 1, "operation": "read"}
    await rest.create(A)
    await rest.fault("stale", **stale)
    missing = await rest.ask("GET", f"{LISTINGS}/docs/a", partition="public")
    await rest.ask("PUT", f"{LISTINGS}/docs/a", {**A, "n": 2}, partition="public")
    await rest.fault("stale", **stale)
    old = await rest.ask("GET", f"{LISTINGS}/docs/a", partition="public")
    await rest.ask("DELETE", f"{LISTINGS}/docs/a", partition="public")
    await rest.fault("stale", **stale)
    deleted = await rest.ask("GET", f"{LISTINGS}/docs/a", partition="public")
    true = await rest.ask("GET", f"{LISTINGS}/docs/a", partition="public")

    assert [missing.status_code, old.json()["n"], deleted.json()["n"], true.status_code] == [404, 1, 2, 404]


async def test_a_feed_repeats_what_it_gave(rest: Rest) -> None:
    async def changes(after: str) -> httpx.Response:
        headers = {"a-im": "Incremental feed", **({"if-none-match": after} if after else {})}
        return await rest.ask("GET", f"{LISTINGS}/docs", partition="public", headers=headers)

    await rest.create(A)
    first = await changes("")
    await rest.fault("repeat")

    again = await changes(first.headers["etag"])
    over = await changes(first.headers["etag"])

    assert ids(again) == ids(first) == ["a"]
    assert over.status_code == 304


async def test_a_feed_that_repeats_leaves_nothing_out_for_a_reader_who_is_behind_another(rest: Rest) -> None:
    async def changes(after: str) -> httpx.Response:
        headers = {"a-im": "Incremental feed", **({"if-none-match": after} if after else {})}
        return await rest.ask("GET", f"{LISTINGS}/docs", partition="public", headers=headers)

    await rest.create(A)
    ahead = await changes("")
    await changes(ahead.headers["etag"])
    await rest.fault("repeat")

    assert ids(await changes("")) == ["a"]


async def test_the_sdk_waits_out_a_throttling_and_tells_of_one_within_a_batch(
    rest: Rest, patient: ContainerProxy
) -> None:
    """429 by the page of statuses; within a batch the answer is 207, which the SDK does not repeat."""
    await rest.fault("throttle", times=2, operation="batch")
    done = await patient.execute_item_batch([("create", (A,))], "public")
    await rest.fault("throttle", operation="batch", inside=True, retry_after_ms=70)
    with pytest.raises(CosmosBatchOperationError) as caught:
        await patient.execute_item_batch([("delete", ("a",)), ("create", (A,))], "public")

    assert done[0]["statusCode"] == 201
    assert caught.value.status_code == 429
    assert caught.value.operation_responses[0]["retryAfterMilliseconds"] == 70
    assert caught.value.operation_responses[1]["statusCode"] == 424
    assert (await patient.read_item("a", "public"))["n"] == 1


@pytest.mark.parametrize(("kind"), ["reset", "unavailable"])
async def test_by_default_the_sdk_sends_a_write_again_whose_answer_was_lost(
    rest: Rest, patient: ContainerProxy, kind: str
) -> None:
    """Why a client has to tell it not to: a batch without a guard of its own happens twice, and nobody is told."""
    await patient.create_item(A)
    await rest.fault(kind, operation="batch", performed=True)

    await patient.execute_item_batch([("patch", ("a", INCREMENT))], "public")

    assert (await patient.read_item("a", "public"))["n"] == 3


@pytest.mark.parametrize("kind", ["reset", "unavailable", "timeout"])
async def test_told_so_the_sdk_sends_nothing_twice(rest: Rest, careful: ContainerProxy, kind: str) -> None:
    await careful.create_item(A)
    await rest.fault(kind, operation="batch", performed=True)

    with pytest.raises(AzureError):
        await careful.execute_item_batch([("patch", ("a", INCREMENT))], "public")

    assert (await careful.read_item("a", "public"))["n"] == 2


async def test_the_sdk_finds_the_ranges_anew_when_one_is_gone(rest: Rest, patient: ContainerProxy) -> None:
    for number in range(6):
        await patient.create_item({"id": f"d{number}", "list_id": f"list-{number}"})
    await rest.fault("gone", operation="feed")

    found = [document["id"] async for document in patient.query_items_change_feed(start_time="Beginning")]

    assert sorted(found) == [f"d{number}" for number in range(6)]


async def test_usage_is_counted_by_container_and_operation(rest: Rest) -> None:
    await rest.create(A)
    charge = float((await rest.ask("GET", f"{LISTINGS}/docs/a", partition="public")).headers["x-ms-request-charge"])

    usage = (await rest.http.delete(f"{rest.url}/_emulator/usage")).json()
    after = (await rest.http.get(f"{rest.url}/_emulator/usage")).json()

    assert usage["listings"]["create"]["requests"] == 1
    assert usage["listings"]["read"] == {"requests": 1, "units": charge}
    assert after == {}


async def test_a_control_with_a_mistake_is_refused(rest: Rest) -> None:
    answer = await rest.http.post(f"{rest.url}/_emulator/faults", json={"kind": "earthquake", "who": "me"})

    assert answer.status_code == 400
    assert "kind" in answer.json()["error"]


async def test_a_slow_answer_is_an_answer(rest: Rest) -> None:
    await rest.fault("slow", seconds=0.05)

    assert (await rest.create(A)).status_code == 201


async def test_retries_are_the_clients_to_give_up(rest: Rest, careful: ContainerProxy) -> None:
    await rest.fault("throttle", times=None, operation="batch", retry_after_ms=0)

    with pytest.raises(CosmosHttpResponseError) as caught:
        await careful.execute_item_batch([("create", (A,))], "public")

    assert caught.value.status_code == 429
