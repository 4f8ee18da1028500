"""The change feed and the ranges of a container; each rule with its page."""

from datetime import timedelta
from email.utils import format_datetime

import pytest
from azure.cosmos.aio import ContainerProxy

from tests.emulators.cosmos.conftest import Clock
from tests.emulators.cosmos.rest import LISTINGS, Reply, Rest

MODES = "https://learn.microsoft.com/azure/cosmos-db/nosql/change-feed-modes"


async def feed(rest: Rest, *, partition: str | None = "public", after: str | None = None, **headers: str) -> Reply:
    """The next changes of a partition, or of the range named in `headers`."""
    known = {} if after is None else {"if-none-match": after}
    wanted = {"a-im": "Incremental feed", **known, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await rest.ask("GET", f"{LISTINGS}/docs", partition=partition, headers=wanted)


def seen(reply: Reply) -> list[tuple[str, int]]:
    """Ids and their `n`."""
    assert reply.status_code == 200, reply.text
    return [(document["id"], document.get("n", 0)) for document in reply.json()["Documents"]]


async def test_the_feed_shows_the_latest_version_in_the_order_of_changes_and_no_deletes(rest: Rest) -> None:
    """https://learn.microsoft.com/azure/cosmos-db/nosql/change-feed-modes#latest-version-change-feed-mode"""
    for name in "abc":
        await rest.create({"id": name, "list_id": "public", "n": 1})
    await rest.ask("PUT", f"{LISTINGS}/docs/a", {"id": "a", "list_id": "public", "n": 2}, partition="public")
    await rest.ask("DELETE", f"{LISTINGS}/docs/b", partition="public")

    first = await feed(rest)
    nothing = await feed(rest, after=first.headers["etag"])
    await rest.create({"id": "d", "list_id": "public"})
    news = await feed(rest, after=nothing.headers["etag"])

    assert seen(first) == [("c", 1), ("a", 2)], MODES
    assert [document["_lsn"] for document in first.json()["Documents"]] == [3, 4]
    assert (nothing.status_code, nothing.content) == (304, b"")
    assert seen(news) == [("d", 0)]


async def test_the_feed_may_begin_now_or_at_a_time(rest: Rest, clock: Clock) -> None:
    """https://learn.microsoft.com/rest/api/cosmos-db/list-documents: If-None-Match *, If-Modified-Since."""
    await rest.create({"id": "old", "list_id": "public"})
    now = await feed(rest, after="*")
    clock.pass_time(100)
    moment = format_datetime(clock() - timedelta(seconds=50), usegmt=True)
    await rest.create({"id": "new", "list_id": "public"})

    since_now = await feed(rest, after=now.headers["etag"])
    since_then = await feed(rest, if_modified_since=moment)

    assert now.status_code == 304
    assert seen(since_now) == seen(since_then) == [("new", 0)]


async def test_a_transaction_is_not_cut_in_two(rest: Rest) -> None:
    """change-feed-processor: items changed in one transaction come together, even if they are more than asked for."""
    operations = [{"operationType": "Create", "resourceBody": {"id": f"d{n}", "list_id": "public"}} for n in range(5)]
    await rest.create({"id": "first", "list_id": "public"})
    await rest.batch(operations)
    await rest.create({"id": "last", "list_id": "public"})

    first = await feed(rest, x_ms_max_item_count="2")
    second = await feed(rest, after=first.headers["etag"], x_ms_max_item_count="2")

    assert [id_ for id_, _ in seen(first)] == ["first", "d0", "d1", "d2", "d3", "d4"]
    assert [id_ for id_, _ in seen(second)] == ["last"]


async def test_expired_items_are_not_in_the_feed(rest: Rest, clock: Clock) -> None:
    """time-to-live: data is not returned once it has expired; in latest-version mode deletes do not appear."""
    await rest.create({"id": "short", "list_id": "public", "ttl": 10})
    clock.pass_time(11)

    assert (await feed(rest)).status_code == 304


async def test_the_mode_with_deletes_is_not_served(rest: Rest) -> None:
    answer = await rest.ask("GET", f"{LISTINGS}/docs", partition="x", headers={"a-im": "Full-Fidelity Feed"})

    assert answer.status_code == 501
    assert "Full-Fidelity" in answer.json()["message"]


async def test_every_document_is_in_the_feed_of_exactly_one_range(rest: Rest) -> None:
    """https://learn.microsoft.com/azure/cosmos-db/partitioning-overview#physical-partitions"""
    for number in range(30):
        await rest.create({"id": f"d{number}", "list_id": f"list-{number}"})
    ranges = (await rest.ask("GET", f"{LISTINGS}/pkranges")).json()["PartitionKeyRanges"]

    found = [
        [id_ for id_, _ in seen(await feed(rest, partition=None, x_ms_documentdb_partitionkeyrangeid=part["id"]))]
        for part in ranges
    ]

    assert [ranges[0]["minInclusive"], ranges[-1]["maxExclusive"]] == ["", "FF"]
    assert len(ranges) == 2
    assert all(found)
    assert sorted(id_ for part in found for id_ in part) == sorted(f"d{number}" for number in range(30))


async def test_a_range_that_is_gone_is_told_as_such(rest: Rest) -> None:
    """http-status-codes-for-cosmosdb: 410; the SDKs look for substatus 1002 and read the ranges anew."""
    answer = await feed(rest, partition=None, x_ms_documentdb_partitionkeyrangeid="7")

    assert (answer.status_code, answer.headers["x-ms-substatus"]) == (410, "1002")


async def test_the_sdk_reads_the_feed_of_each_range_and_goes_on_where_it_stood(listings: ContainerProxy) -> None:
    for number in range(10):
        await listings.create_item({"id": f"d{number}", "list_id": f"list-{number}"})

    found, positions = [], []
    async for part in listings.read_feed_ranges():
        pages = listings.query_items_change_feed(feed_range=part, start_time="Beginning", max_item_count=3).by_page()
        found += [document["id"] async for page in pages async for document in page]
        positions.append(pages.continuation_token)  # type: ignore[attr-defined]  # of the page iterator
    await listings.create_item({"id": "new", "list_id": "list-3"})
    news = [
        document["id"]
        for position in positions
        async for document in listings.query_items_change_feed(continuation=position)
    ]

    assert sorted(found) == sorted(f"d{number}" for number in range(10))
    assert news == ["new"]


@pytest.mark.parametrize(
    "headers",
    [
        {"if-none-match": '"' + "9" * 5_000 + '"'},
        {"if-modified-since": "Sat, 21 Nov 2026 20:00:00 -0000"},  # RFC 5322: a moment in no time zone we know of
        {"if-modified-since": "yesterday"},
    ],
    ids=["digits", "zone", "words"],
)
async def test_a_place_in_the_feed_that_is_none_is_refused(rest: Rest, headers: dict[str, str]) -> None:
    answer = await rest.ask(
        "GET", f"{LISTINGS}/docs", partition="public", headers={"a-im": "Incremental feed", **headers}
    )

    assert answer.status_code == 400
