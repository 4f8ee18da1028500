"""Microsoft's SDK against the emulator: what a client sees."""

from typing import Any

import pytest
from azure.core import MatchConditions
from azure.cosmos.aio import ContainerProxy
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosBatchOperationError,
    CosmosResourceExistsError,
    CosmosResourceNotFoundError,
)


async def test_what_was_written_is_read_until_it_is_deleted(listings: ContainerProxy) -> None:
    await listings.create_item({"id": "a", "list_id": "public / ü", "n": 1})

    found = await listings.read_item("a", "public / ü")
    await listings.delete_item("a", "public / ü")

    assert {name: found[name] for name in ("id", "list_id", "n")} == {"id": "a", "list_id": "public / ü", "n": 1}
    with pytest.raises(CosmosResourceNotFoundError):
        await listings.read_item("a", "public / ü")


async def test_of_two_writers_with_one_etag_the_second_is_refused(listings: ContainerProxy) -> None:
    read = await listings.create_item({"id": "a", "list_id": "public", "n": 1})

    async def replace(n: int) -> None:
        await listings.replace_item(
            "a", {**read, "n": n}, etag=read["_etag"], match_condition=MatchConditions.IfNotModified
        )

    await replace(2)
    with pytest.raises(CosmosAccessConditionFailedError):
        await replace(3)

    assert (await listings.read_item("a", "public"))["n"] == 2


async def test_a_taken_id_is_a_conflict(listings: ContainerProxy) -> None:
    await listings.create_item({"id": "a", "list_id": "public", "n": 1})

    with pytest.raises(CosmosResourceExistsError):
        await listings.create_item({"id": "a", "list_id": "public", "n": 2})

    assert (await listings.read_item("a", "public"))["n"] == 1


async def test_a_batch_happens_as_a_whole_or_not_at_all(listings: ContainerProxy) -> None:
    await listings.create_item({"id": "pool", "list_id": "public", "available": 3})
    take = ("patch", ("pool", [{"op": "incr", "path": "/available", "value": -2}]))
    enough = {"filter_predicate": "from c where c.available >= 2"}

    results = await listings.execute_item_batch(
        [("create", ({"id": "hold-1", "list_id": "public"},)), (*take, dict(enough))], partition_key="public"
    )
    with pytest.raises(CosmosBatchOperationError) as caught:
        await listings.execute_item_batch(
            [("create", ({"id": "hold-2", "list_id": "public"},)), (*take, dict(enough))], partition_key="public"
        )

    assert [result["statusCode"] for result in results] == [201, 200]
    assert (caught.value.status_code, caught.value.error_index) == (412, 1)
    assert [result["statusCode"] for result in caught.value.operation_responses] == [424, 412]
    assert (await listings.read_item("pool", "public"))["available"] == 1
    with pytest.raises(CosmosResourceNotFoundError):
        await listings.read_item("hold-2", "public")


async def test_across_partitions_the_sdk_puts_ranges_together_by_the_plan(listings: ContainerProxy) -> None:
    """Counts and orders need state across ranges: the SDK asks for a plan and then each range for its part."""
    for number in range(12):
        await listings.create_item({"id": f"d{number:02}", "list_id": f"list-{number}", "n": number})

    counted: list[Any] = [row async for row in listings.query_items("SELECT VALUE COUNT(1) FROM c WHERE c.n >= 2")]
    falling = [row["n"] async for row in listings.query_items("SELECT * FROM c WHERE c.n > 3 ORDER BY c.id DESC")]
    first = [row["id"] async for row in listings.query_items("SELECT TOP 3 * FROM c ORDER BY c.id")]
    found = [row["n"] async for row in listings.query_items("SELECT * FROM c WHERE c.n < 3")]

    assert counted == [10]
    assert falling == list(range(11, 3, -1))
    assert first == ["d00", "d01", "d02"]
    assert sorted(found) == [0, 1, 2]


async def test_several_documents_are_read_at_once(listings: ContainerProxy) -> None:
    for number in range(6):
        await listings.create_item({"id": f"d{number}", "list_id": f"list-{number % 3}"})

    found = await listings.read_items([("d0", "list-0"), ("d4", "list-1"), ("d5", "list-2"), ("d9", "list-0")])

    assert sorted(document["id"] for document in found) == ["d0", "d4", "d5"]
