"""Our double of Cosmos DB beside `@zeit/cosmosdb-server`, which nobody here wrote: the SDK must see the same of both.

Not part of `make test`: it needs node and packages from npm. `make foreign` fetches them and runs it. That server knows
documents, etags and queries, but no patches, batches, groups or change feed. What it does otherwise than Microsoft's
pages say is left out: its `!=` holds between different types, its DELETE and its reads of what is not there fail, and
it wants the partition in the condition, too.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.cosmos import PartitionKey
from azure.cosmos.aio import ContainerProxy, CosmosClient
from azure.cosmos.exceptions import (
    CosmosAccessConditionFailedError,
    CosmosResourceExistsError,
)

from local.emulators.cosmos.app import build
from local.emulators.cosmos.signatures import Gate, MasterKey
from local.emulators.serving import served

SERVER = Path(__file__).parent / "node_modules" / "@zeit" / "cosmosdb-server" / "lib" / "cli.js"
KEY = "b25lIGtleSBmb3IgYm90aCBvZiB0aGVtLCBvZiBubyB2YWx1ZSBhdCBhbGw="
_START_SECONDS = 15

VALUES: dict[str, Any] = {
    "null": None, "true": True, "false": False, "zero": 0, "one": 1, "half": 1.5, "two": 2, "text": "1", "word": "Jazz",
    "empty": "", "list": [1], "object": {"k": 1},
}  # fmt: skip


@pytest.fixture(params=["ours", "foreign"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """An empty account, ours or theirs."""
    if request.param == "ours":
        async with served(build(tmp_path / "cosmos.sqlite", Gate(MasterKey(KEY)))) as address:
            yield address
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    process = await asyncio.create_subprocess_exec(
        "node", str(SERVER), "--no-ssl", "--host", "127.0.0.1", "-p", port, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), _START_SECONDS)
        assert b"Ready" in line, line
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


@pytest.fixture
async def things(url: str) -> AsyncIterator[ContainerProxy]:
    """A container with a partition key."""
    # The foreign account names https addresses whatever it is served on: the SDK must not follow them.
    async with CosmosClient(url, KEY, enable_endpoint_discovery=False) as client:
        database = await client.create_database_if_not_exists("tessera")
        yield await database.create_container_if_not_exists("things", PartitionKey("/kind"))


async def test_a_document_is_created_once_read_and_replaced_by_its_etag(things: ContainerProxy) -> None:
    created = await things.create_item({"id": "a", "kind": "x", "n": 1})
    with pytest.raises(CosmosResourceExistsError):
        await things.create_item({"id": "a", "kind": "x", "n": 2})
    read = await things.read_item("a", "x")
    replaced = await things.replace_item(
        "a", {**read, "n": 2}, etag=read["_etag"], match_condition=MatchConditions.IfNotModified
    )
    with pytest.raises(CosmosAccessConditionFailedError):
        await things.replace_item(
            "a", {**read, "n": 3}, etag=read["_etag"], match_condition=MatchConditions.IfNotModified
        )
    now = await things.read_item("a", "x")

    assert (created["n"], read["n"], replaced["n"], now["n"]) == (1, 1, 2, 2)
    assert created["_etag"] == read["_etag"] != replaced["_etag"] == now["_etag"]
    assert {"_rid", "_self", "_ts", "_etag"} <= set(read)


async def test_an_upsert_writes_over_what_is_there(things: ContainerProxy) -> None:
    await things.upsert_item({"id": "a", "kind": "x", "n": 1})
    await things.upsert_item({"id": "a", "kind": "x", "n": 2})

    assert (await things.read_item("a", "x"))["n"] == 2


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("c.v = 1", {"one"}),
        ("c.v = '1'", {"text"}),
        ("c.v != 1 AND IS_NUMBER(c.v)", {"zero", "half", "two"}),
        ("c.v > 1", {"half", "two"}),
        ("c.v <= 'A'", {"text", "empty"}),
        ("c.v = null", {"null"}),
        ("c.v = true", {"true"}),
        ("NOT (c.v = 1) AND IS_NUMBER(c.v)", {"zero", "half", "two"}),
        ("c.v = 1 OR c.v = 'Jazz'", {"one", "word"}),
        ("(c.v = 1 OR c.v = 2) AND c.v > 1", {"two"}),
        ("c.v > c.nowhere", set()),
        ("IS_DEFINED(c.v)", set(VALUES)),
        ("NOT IS_DEFINED(c.v)", {"missing"}),
        ("IS_STRING(c.v)", {"text", "word", "empty"}),
        ("IS_NUMBER(c.v)", {"zero", "one", "half", "two"}),
        ("CONTAINS(c.v, 'az')", {"word"}),
        ("CONTAINS(c.v, '')", {"text", "word", "empty"}),
        ("STARTSWITH(c.v, 'J')", {"word"}),
        ("c.v IN (1, 'Jazz', true)", {"one", "word", "true"}),
        ('c["v"]["k"] = 1 OR c.v[0] = 1', {"object", "list"}),
        ("c.v >= @low AND c.v < @high", {"one", "half"}),
    ],
)
async def test_a_condition_finds_the_same(things: ContainerProxy, condition: str, found: set[str]) -> None:
    for name, value in VALUES.items():
        await things.create_item({"id": name, "kind": "x", "v": value})
    await things.create_item({"id": "missing", "kind": "x"})
    parameters: list[dict[str, object]] = [{"name": "@low", "value": 1}, {"name": "@high", "value": 2}]

    rows = things.query_items(
        f"SELECT * FROM c WHERE c.kind = 'x' AND ({condition})", parameters=parameters, partition_key="x"
    )

    assert {row["id"] async for row in rows} == found


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("SELECT c.id, c.n AS m FROM c WHERE {} AND c.n = 1", [{"id": "d1", "m": 1}]),
        ("SELECT VALUE c.id FROM c WHERE {} ORDER BY c.n DESC", ["d3", "d2", "d1", "d0"]),
        ("SELECT VALUE COUNT(1) FROM c WHERE {} AND c.n > 0", [3]),
        ("SELECT TOP 2 VALUE c.id FROM c WHERE {} ORDER BY c.n", ["d0", "d1"]),
    ],
)
async def test_a_projection_gives_the_same(things: ContainerProxy, text: str, rows: list[Any]) -> None:
    for number in range(4):
        await things.create_item({"id": f"d{number}", "kind": "x", "n": number})

    found = [row async for row in things.query_items(text.format("c.kind = 'x'"), partition_key="x")]

    assert found == rows
