"""What every store must do, in the words of `shared/store/port.py`: queries, paging and the change feed."""

import asyncio
import base64

import pytest

from shared.store.port import (
    EVERYWHERE,
    PAGE_MAX,
    ChangeFeed,
    ContinuationRefused,
    Create,
    Delete,
    Document,
    Everywhere,
    Json,
    LeaseLost,
    OrderBy,
    Patch,
    Replace,
    Store,
    Where,
)
from tests.contract.harness import StoreUnderTest


@pytest.fixture
def store(under_test: StoreUnderTest) -> Store:
    return under_test.store


@pytest.fixture
def feed(under_test: StoreUnderTest) -> ChangeFeed:
    if under_test.feed is None:
        pytest.skip("the host, not we, drives this store's change feed")
    return under_test.feed


async def put(store: Store, partition: str, id_: str, value: dict[str, Json], ttl_seconds: int | None = None) -> None:
    await store.commit("listings", partition, [Create(id_, value, ttl_seconds)])


async def pages(
    store: Store,
    partition: str | Everywhere,
    *,
    limit: int,
    where: tuple[Where, ...] = (),
    order_by: OrderBy | None = None,
) -> list[list[str]]:
    found, continuation = [], None
    while True:
        page = await store.query(
            "listings", partition, where=where, order_by=order_by, limit=limit, continuation=continuation
        )
        found.append([document.id for document in page.documents])
        continuation = page.continuation
        if continuation is None:
            return found


async def test_a_query_finds_whole_documents_of_one_partition(store: Store) -> None:
    await put(store, "public", "a", {"n": 1})
    await put(store, "other", "b", {"n": 1})

    page = await store.query("listings", "public")

    read = await store.read("listings", "public", "a")
    assert list(page.documents) == [read]
    assert read == Document("a", "public", {"n": 1, "list_id": "public"}, read.etag)
    assert page.continuation is None


async def test_without_an_order_pages_go_by_id_and_end(store: Store) -> None:
    for id_ in ["c", "a", "e", "b", "d"]:
        await put(store, "public", id_, {})

    assert await pages(store, "public", limit=2) == [["a", "b"], ["c", "d"], ["e"]]
    assert await pages(store, "public", limit=5) == [["a", "b", "c", "d", "e"]]
    assert await pages(store, "empty", limit=5) == [[]]


async def test_every_condition_of_a_query_must_hold(store: Store) -> None:
    for n in range(10):
        await put(store, "public", f"e{n}", {"n": n, "state": "on" if n % 2 else "off"})

    found = await pages(store, "public", limit=2, where=(Where("n", ">", 2), Where("state", "=", "on")))

    assert found == [["e3", "e5"], ["e7", "e9"]]


@pytest.mark.parametrize("descending", [False, True])
async def test_an_ordered_query_pages_by_value_with_ties_by_id(store: Store, descending: bool) -> None:
    dates = ["2026-05-03", "2026-05-01", "2026-05-02", "2026-05-02", "2026-05-02", "2026-05-09"]
    for n, date in enumerate(dates):
        await put(store, "public", f"e{n}", {"starts_at": date})
        await put(store, "other", f"o{n}", {"starts_at": date})

    found = await pages(store, "public", limit=2, order_by=OrderBy("starts_at", descending))

    ordered = ["e1", "e2", "e3", "e4", "e0", "e5"]
    assert [id_ for page in found for id_ in page] == (ordered[::-1] if descending else ordered)
    assert [len(page) for page in found] == [2, 2, 2]


async def test_numbers_are_ordered_as_numbers_and_strings_as_strings(store: Store) -> None:
    for n, value in enumerate([10, 9, 2.5, -1, "10", "9", "ä", "z"]):
        await put(store, "public", f"e{n}", {"v": value})

    numbers = await pages(store, "public", limit=3, where=(Where("v", ">", -100),), order_by=OrderBy("v"))
    strings = await pages(store, "public", limit=3, where=(Where("v", ">", ""),), order_by=OrderBy("v"))

    assert [id_ for page in numbers for id_ in page] == ["e3", "e2", "e1", "e0"]
    assert [id_ for page in strings for id_ in page] == ["e4", "e5", "e7", "e6"]


async def test_a_page_continues_where_it_ended_though_documents_came_and_went(store: Store) -> None:
    for id_ in ["b", "d", "f"]:
        await put(store, "public", id_, {"at": id_})
    first = await store.query("listings", "public", order_by=OrderBy("at"), limit=2)

    await put(store, "public", "a", {"at": "a"})
    await put(store, "public", "e", {"at": "e"})
    await store.commit("listings", "public", [Delete("d")])
    second = await store.query("listings", "public", order_by=OrderBy("at"), limit=2, continuation=first.continuation)

    assert [document.id for document in first.documents] == ["b", "d"]
    assert [document.id for document in second.documents] == ["e", "f"]


async def test_everywhere_reaches_every_partition_once(store: Store) -> None:
    expected = set()
    for partition in ["p2", "p1", "p3"]:
        for n in range(3):
            await put(store, partition, f"d{n}", {"n": n})
            expected.add((partition, f"d{n}"))
    await store.commit("events", "p1", [Create("elsewhere", {"n": 1})])

    found, continuation = [], None
    while True:
        page = await store.query("listings", EVERYWHERE, limit=2, continuation=continuation)
        found += [(document.partition, document.id) for document in page.documents]
        continuation = page.continuation
        if continuation is None:
            break
    few = await pages(store, EVERYWHERE, limit=2, where=(Where("n", "=", 1),))

    assert len(found) == len(expected)
    assert set(found) == expected
    assert [id_ for page in few for id_ in page] == ["d1", "d1", "d1"]


async def test_an_order_everywhere_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="partitions"):
        await store.query("listings", EVERYWHERE, order_by=OrderBy("n"))


@pytest.mark.parametrize("limit", [0, -1, PAGE_MAX + 1])
async def test_a_page_has_a_bound(store: Store, limit: int) -> None:
    with pytest.raises(ValueError, match="page"):
        await store.query("listings", "public", limit=limit)


@pytest.mark.parametrize("path", ["a.b", "a b", "", "x') OR 1=1 --", 'a"'])
async def test_only_plain_property_names_can_be_asked_for(store: Store, path: str) -> None:
    with pytest.raises(ValueError, match="property"):
        await store.query("listings", "public", where=[Where(path, "=", 1)])
    with pytest.raises(ValueError, match="property"):
        await store.query("listings", "public", order_by=OrderBy(path))


async def test_an_unknown_operator_is_an_error_of_the_program(store: Store) -> None:
    with pytest.raises(ValueError, match="operator"):
        await store.query("listings", "public", where=[Where("n", "LIKE", 1)])  # type: ignore[arg-type] # the point


async def test_a_continuation_serves_only_the_query_it_was_signed_for(store: Store) -> None:
    for n in range(4):
        await put(store, "public", f"d{n}", {"n": n})
        await put(store, "secret", f"d{n}", {"n": n})
    where, order = [Where("n", ">=", 0)], OrderBy("n")
    page = await store.query("listings", "public", where=where, order_by=order, limit=2)
    token = page.continuation
    assert token is not None

    again = await store.query("listings", "public", where=where, order_by=order, limit=1, continuation=token)
    assert [document.id for document in again.documents] == ["d2"]
    others: list[tuple[str, str | Everywhere, list[Where], OrderBy | None]] = [
        ("listings", "secret", where, order),
        ("events", "public", where, order),
        ("listings", "public", [Where("n", ">=", 1)], order),
        ("listings", "public", [], order),
        ("listings", "public", where, OrderBy("n", descending=True)),
        ("listings", "public", where, None),
        ("listings", EVERYWHERE, where, None),
    ]
    for container, partition, other_where, other_order in others:
        with pytest.raises(ContinuationRefused):
            await store.query(container, partition, where=other_where, order_by=other_order, continuation=token)


@pytest.mark.parametrize("damage", ["", "x", "!!!!", "ä", "A" * 100, "A" * 100_000])
async def test_a_forged_continuation_is_refused(store: Store, damage: str) -> None:
    with pytest.raises(ContinuationRefused):
        await store.query("listings", "public", continuation=damage)


async def test_a_continuation_changed_in_any_byte_is_refused(store: Store) -> None:
    for n in range(2):
        await put(store, "public", f"d{n}", {})
    token = (await store.query("listings", "public", limit=1)).continuation
    assert token is not None
    data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))

    for place in range(len(data)):
        forged = bytes([*data[:place], data[place] ^ 1, *data[place + 1 :]])
        with pytest.raises(ContinuationRefused):
            await store.query(
                "listings", "public", limit=1, continuation=base64.urlsafe_b64encode(forged).rstrip(b"=").decode()
            )


async def ids(feed: ChangeFeed, *, limit: int = 100, owner: str = "me") -> list[str]:
    batch = await feed.changes("listings", "relay", owner=owner, limit=limit)
    return [] if batch is None else [document["id"] for document in batch.documents]


async def test_the_feed_hands_out_whole_documents_with_system_properties(
    under_test: StoreUnderTest, store: Store, feed: ChangeFeed
) -> None:
    await put(store, "public", "a", {"n": 1})
    assert await feed.acquire("listings", "relay", owner="me", seconds=30)

    batch = await feed.changes("listings", "relay", owner="me", limit=10)

    assert batch is not None
    (document,) = batch.documents
    read = await store.read("listings", "public", "a")
    besides = {"_rid", "_self", "_attachments"}  # Cosmos' own addresses of a document; nobody reads them
    assert {name: value for name, value in document.items() if name not in besides} == {
        "id": "a",
        "n": 1,
        "list_id": "public",
        "_etag": read.etag,
        "_ts": int(under_test.now().timestamp()),
        "_lsn": document["_lsn"],
    }


async def test_the_feed_is_in_order_shows_the_latest_version_once_and_no_deletes(
    under_test: StoreUnderTest, store: Store, feed: ChangeFeed
) -> None:
    assert await feed.acquire("listings", "relay", owner="me", seconds=3000)
    for id_ in ["a", "b", "c", "d"]:
        await put(store, "public", id_, {"n": 1})
    await put(store, "public", "short-lived", {}, ttl_seconds=1)
    await store.commit("events", "e", [Create("elsewhere", {})])
    etag = (await store.read("listings", "public", "b")).etag
    await store.commit("listings", "public", [Patch("a", increments={"n": 1})])
    await store.commit("listings", "public", [Replace("b", {"n": 3}, etag), Delete("c")])
    await under_test.pass_time(5)

    batch = await feed.changes("listings", "relay", owner="me", limit=10)

    assert batch is not None
    assert [(document["id"], document["n"]) for document in batch.documents] == [("d", 1), ("a", 2), ("b", 3)]
    lsns = [document["_lsn"] for document in batch.documents]
    assert lsns == sorted(set(lsns))


async def test_the_feed_repeats_until_the_lease_moves_on(store: Store, feed: ChangeFeed) -> None:
    assert await feed.acquire("listings", "relay", owner="me", seconds=30)
    for n in range(5):
        await put(store, "public", f"d{n}", {})

    first = await feed.changes("listings", "relay", owner="me", limit=2)
    assert first is not None
    assert await feed.changes("listings", "relay", owner="me", limit=2) == first
    await feed.advance("listings", "relay", owner="me", position=first.position)
    assert await ids(feed, limit=2) == ["d2", "d3"]
    second = await feed.changes("listings", "relay", owner="me", limit=10)
    assert second is not None
    await feed.advance("listings", "relay", owner="me", position=second.position)

    assert await feed.changes("listings", "relay", owner="me", limit=10) is None
    await store.commit("listings", "public", [Patch("d0", sets={"n": 1})])
    assert await ids(feed) == ["d0"]


async def test_leases_move_independently(store: Store, feed: ChangeFeed) -> None:
    await put(store, "public", "a", {})
    for lease in ["relay", "listing"]:
        assert await feed.acquire("listings", lease, owner="me", seconds=30)
    batch = await feed.changes("listings", "listing", owner="me", limit=10)
    assert batch is not None

    await feed.advance("listings", "listing", owner="me", position=batch.position)

    assert await feed.changes("listings", "listing", owner="me", limit=10) is None
    assert await ids(feed) == ["a"]


async def test_a_lease_has_one_owner_until_it_lapses_or_is_released(
    under_test: StoreUnderTest, store: Store, feed: ChangeFeed
) -> None:
    await put(store, "public", "a", {})
    assert await feed.acquire("listings", "relay", owner="me", seconds=30)
    assert await feed.acquire("listings", "relay", owner="me", seconds=30)
    assert not await feed.acquire("listings", "relay", owner="you", seconds=30)
    with pytest.raises(LeaseLost):
        await ids(feed, owner="you")

    await under_test.pass_time(20)
    assert await feed.acquire("listings", "relay", owner="me", seconds=30)
    await under_test.pass_time(20)
    assert not await feed.acquire("listings", "relay", owner="you", seconds=30)
    await under_test.pass_time(11)
    with pytest.raises(LeaseLost):
        await ids(feed)
    assert await feed.acquire("listings", "relay", owner="you", seconds=30)
    assert not await feed.acquire("listings", "relay", owner="me", seconds=30)

    await feed.release("listings", "relay", owner="me")  # not mine: nothing happens
    assert not await feed.acquire("listings", "relay", owner="me", seconds=30)
    await feed.release("listings", "relay", owner="you")
    with pytest.raises(LeaseLost):
        await ids(feed, owner="you")
    assert await feed.acquire("listings", "relay", owner="me", seconds=30)


async def test_a_former_owner_cannot_move_the_lease_and_the_next_one_goes_on_where_it_stood(
    under_test: StoreUnderTest, store: Store, feed: ChangeFeed
) -> None:
    for n in range(3):
        await put(store, "public", f"d{n}", {})
    assert await feed.acquire("listings", "relay", owner="me", seconds=30)
    done = await feed.changes("listings", "relay", owner="me", limit=1)
    assert done is not None
    await feed.advance("listings", "relay", owner="me", position=done.position)
    late = await feed.changes("listings", "relay", owner="me", limit=1)
    assert late is not None
    await under_test.pass_time(31)
    assert await feed.acquire("listings", "relay", owner="you", seconds=30)

    with pytest.raises(LeaseLost):
        await feed.advance("listings", "relay", owner="me", position=late.position)

    assert await ids(feed, owner="you") == ["d1", "d2"]


async def test_who_found_nothing_and_waits_is_woken_by_the_next_commit(store: Store, feed: ChangeFeed) -> None:
    assert await feed.acquire("listings", "relay", owner="me", seconds=30)

    async def first_change() -> list[str]:
        while not (found := await ids(feed)):
            await feed.wait(30)
        return found

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        waiters = [group.create_task(first_change()) for _ in range(3)]
        await asyncio.sleep(0.05)
        await put(store, "public", "a", {})

    assert [waiter.result() for waiter in waiters] == [["a"]] * 3


async def test_waiting_ends_with_the_timeout(feed: ChangeFeed) -> None:
    async with asyncio.timeout(20):
        await feed.wait(0.01)
        await feed.wait(0.01)
