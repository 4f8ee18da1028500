"""The account, databases, containers and partition keys; each rule with its page."""

from typing import Any

import pytest
from azure.cosmos import PartitionKey, ThroughputProperties
from azure.cosmos.aio import CosmosClient
from azure.cosmos.exceptions import CosmosHttpResponseError

from local.emulators.cosmos.hashing import effective_key
from tests.emulators.cosmos.rest import LISTINGS, Rest, ids

HASH = {"paths": ["/list_id"], "kind": "Hash", "version": 2}
CONTAINERS = "https://learn.microsoft.com/rest/api/cosmos-db/create-a-collection"


@pytest.mark.parametrize(
    "value", ["", "a", "x" * 40, "zürich", "order-123456789", 5, 1.5, -0.5, 2**40, True, False, None, {}]
)
def test_partition_keys_lie_where_microsofts_sdk_expects_them(value: Any) -> None:
    """The SDK routes by its own hash: azure.cosmos.partition_key is the oracle."""
    expected = PartitionKey("/a")._get_epk_range_for_partition_key(value).min
    nested = PartitionKey(["/a", "/b"])._get_epk_range_for_partition_key(["x", value]).min

    assert effective_key([value], hierarchical=False) == expected
    assert effective_key(["x", value], hierarchical=True) == nested


async def test_the_account_is_strong_and_has_one_region_to_write_to(rest: Rest) -> None:
    """https://learn.microsoft.com/rest/api/cosmos-db/get-database-account"""
    account = (await rest.ask("GET", "")).json()

    assert account["userConsistencyPolicy"] == {"defaultConsistencyLevel": "Strong"}
    assert account["writableLocations"] == [{"name": "Local", "databaseAccountEndpoint": f"{rest.url}/"}]
    assert account["enableMultipleWriteLocations"] is False


async def test_databases_and_containers_are_made_listed_and_removed(client: CosmosClient) -> None:
    database = await client.create_database_if_not_exists("second")
    again = await client.create_database_if_not_exists("second")
    container = await database.create_container("things", PartitionKey("/kind"), default_ttl=60)
    properties = await container.read()
    listed = [found["id"] async for found in database.list_containers()]
    await database.delete_container("things")
    after = [found["id"] async for found in database.list_containers()]
    databases = {found["id"] async for found in client.list_databases()}
    await client.delete_database("second")

    assert again.id == "second"
    assert properties["partitionKey"] == {"paths": ["/kind"], "kind": "Hash", "version": 2}
    assert properties["defaultTtl"] == 60
    assert (listed, after, databases) == (["things"], [], {"tessera", "second"})


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 201),
        ({"id": "listings"}, 409),
        ({"id": "a/b"}, 400),
        ({"id": "x" * 256}, 400),
        ({"partitionKey": None}, 400),
        ({"partitionKey": {**HASH, "paths": ["/a", "/b"]}}, 400),
        ({"partitionKey": {"paths": ["/a", "/b", "/c"], "kind": "MultiHash", "version": 2}}, 201),
        ({"partitionKey": {"paths": ["/a", "/b", "/c", "/d"], "kind": "MultiHash", "version": 2}}, 400),
        ({"partitionKey": {**HASH, "version": 1}}, 501),
        ({"defaultTtl": 0}, 400),
        ({"defaultTtl": -1}, 201),
        ({"changeFeedPolicy": {}}, 501),
    ],
)
async def test_what_a_container_may_be(rest: Rest, change: dict[str, Any], status: int) -> None:
    """create-a-collection; hierarchical-partition-keys: up to three levels; concepts-limits: names up to 255."""
    answer = await rest.ask("POST", "dbs/tessera/colls", {"id": "new", "partitionKey": HASH, **change})

    assert answer.status_code == status, CONTAINERS


async def test_a_containers_indexes_may_change_and_its_keys_may_not(rest: Rest) -> None:
    """https://learn.microsoft.com/rest/api/cosmos-db/replace-a-collection, unique-keys#define-a-unique-key"""
    path = await rest.container("new")
    composite = {"compositeIndexes": [[{"path": "/a"}, {"path": "/b"}]]}

    indexed = await rest.ask("PUT", path, {"id": "new", "partitionKey": HASH, "indexingPolicy": composite})
    served = await rest.query("SELECT * FROM c ORDER BY c.a, c.b", container=path)
    moved = await rest.ask("PUT", path, {"id": "new", "partitionKey": {**HASH, "paths": ["/other"]}})

    assert (indexed.status_code, served.status_code, moved.status_code) == (200, 200, 400)


async def test_what_lies_in_no_container_is_told_with_a_substatus(rest: Rest) -> None:
    """The SDKs know substatus 1003, the owner resource is not there, from a document that is not there."""
    nowhere = await rest.create({"id": "a", "list_id": "public"}, container="dbs/tessera/colls/nowhere")
    lacking = await rest.ask("GET", f"{LISTINGS}/docs/nowhere", partition="public")

    assert (nowhere.status_code, nowhere.headers["x-ms-substatus"]) == (404, "1003")
    assert (lacking.status_code, lacking.headers.get("x-ms-substatus")) == (404, None)


@pytest.mark.parametrize("path", [f"{LISTINGS}/sprocs", f"{LISTINGS}/triggers", "offers", "dbs/tessera/users"])
async def test_resources_that_are_not_served_say_so(rest: Rest, path: str) -> None:
    answer = await rest.ask("GET", path)

    assert answer.status_code == 501
    assert path.rpartition("/")[2] in answer.json()["message"]


@pytest.mark.parametrize("throughput", [400, ThroughputProperties(auto_scale_max_throughput=4000)])
async def test_throughput_is_not_taken_and_forgotten(client: CosmosClient, throughput: Any) -> None:
    """set-throughput: a container or database with an offer is something that is not emulated, and says so."""
    database = client.get_database_client("tessera")

    with pytest.raises(CosmosHttpResponseError, match="does not support offers") as refused:
        await database.create_container("things", PartitionKey("/kind"), offer_throughput=throughput)
    with pytest.raises(CosmosHttpResponseError, match="does not support offers"):
        await client.create_database("second", offer_throughput=throughput)

    assert refused.value.status_code == 501
    assert "things" not in [found["id"] async for found in database.list_containers()]
    assert {found["id"] async for found in client.list_databases()} == {"tessera"}


async def test_a_hierarchical_key_is_queried_by_its_beginning(rest: Rest) -> None:
    """https://learn.microsoft.com/azure/cosmos-db/hierarchical-partition-keys: a prefix of the key routes a query."""
    key = {"paths": ["/tenant", "/user"], "kind": "MultiHash", "version": 2}
    path = await rest.container("nested", partitionKey=key)
    for name, tenant, user in (("1", "a", "x"), ("2", "a", "y"), ("3", "b", "x")):
        document = {"id": name, "tenant": tenant, "user": user}
        assert (await rest.ask("POST", f"{path}/docs", document, partition=[tenant, user])).status_code == 201

    whole = await rest.query("SELECT * FROM c", container=path, partition=["a", "x"])
    prefix = await rest.query("SELECT * FROM c", container=path, partition=["a"])
    point = await rest.ask("GET", f"{path}/docs/1", partition=["a"])

    assert ids(whole) == ["1"]
    assert sorted(ids(prefix)) == ["1", "2"]
    assert point.status_code == 400
