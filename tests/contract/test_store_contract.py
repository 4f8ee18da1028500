"""What every store must do, in the words of `shared/store/port.py`: reads, commits and refusals."""

import asyncio
from collections.abc import Sequence

import pytest

from shared.store.port import (
    COMMIT_BYTES_MAX,
    WRITES_MAX,
    AlreadyExists,
    CommitRefused,
    ConditionFailed,
    Create,
    Delete,
    Document,
    Json,
    NotFound,
    Operator,
    Patch,
    Replace,
    StaleWrite,
    Store,
    Where,
    Write,
)
from tests.contract.harness import StoreUnderTest


@pytest.fixture
def store(under_test: StoreUnderTest) -> Store:
    return under_test.store


async def put(store: Store, id_: str, value: dict[str, Json], ttl_seconds: int | None = None) -> str:
    (etag,) = await store.commit("orders", "o-1", [Create(id_, value, ttl_seconds)])
    return etag


async def assert_absent(store: Store, *ids: str) -> None:
    for id_ in ids:
        with pytest.raises(NotFound):
            await store.read("orders", "o-1", id_)


async def test_a_created_document_is_read_back_with_its_partition_key_and_etag(store: Store) -> None:
    value = {"state": "placed", "lines": [{"quantity": 2, "price": 1250}], "note": "für zwei", "closed": None, "f": 1.5}

    etag = await put(store, "order", value)

    read = await store.read("orders", "o-1", "order")
    assert read == Document("order", "o-1", {**value, "order_id": "o-1"}, etag)
    assert etag


async def test_a_document_read_can_be_written_back_as_it_is(store: Store) -> None:
    await put(store, "order", {"state": "placed"})
    read = await store.read("orders", "o-1", "order")

    (etag,) = await store.commit("orders", "o-1", [Replace("order", read.value, read.etag)])

    assert etag != read.etag
    assert await store.read("orders", "o-1", "order") == Document("order", "o-1", read.value, etag)


async def test_an_id_is_unique_within_its_partition_and_container_only(store: Store) -> None:
    await store.commit("orders", "o-1", [Create("x", {"n": 1})])
    await store.commit("orders", "o-2", [Create("x", {"n": 2})])
    await store.commit("events", "o-1", [Create("x", {"n": 3})])

    assert (await store.read("orders", "o-1", "x")).value["n"] == 1
    assert (await store.read("orders", "o-2", "x")).value["n"] == 2
    assert (await store.read("events", "o-1", "x")).value["n"] == 3


async def test_a_missing_document_is_not_found(store: Store) -> None:
    await assert_absent(store, "order")


async def test_creating_twice_is_refused_and_changes_nothing(store: Store) -> None:
    etag = await put(store, "order", {"n": 1})

    with pytest.raises(AlreadyExists):
        await put(store, "order", {"n": 2})

    assert await store.read("orders", "o-1", "order") == Document("order", "o-1", {"n": 1, "order_id": "o-1"}, etag)


async def test_replacing_with_an_old_etag_is_refused_and_changes_nothing(store: Store) -> None:
    old = await put(store, "order", {"n": 1})
    (new,) = await store.commit("orders", "o-1", [Replace("order", {"n": 2}, old)])

    with pytest.raises(StaleWrite):
        await store.commit("orders", "o-1", [Replace("order", {"n": 3}, old)])

    assert await store.read("orders", "o-1", "order") == Document("order", "o-1", {"n": 2, "order_id": "o-1"}, new)


async def test_a_replaced_document_loses_the_properties_it_no_longer_has(store: Store) -> None:
    etag = await put(store, "order", {"a": 1, "b": 2})

    await store.commit("orders", "o-1", [Replace("order", {"b": 3}, etag)])

    assert (await store.read("orders", "o-1", "order")).value == {"b": 3, "order_id": "o-1"}


async def test_deleting_an_old_version_is_refused_and_the_current_or_any_one_is_not(store: Store) -> None:
    old = await put(store, "order", {"n": 1})
    (new,) = await store.commit("orders", "o-1", [Replace("order", {"n": 2}, old)])

    with pytest.raises(StaleWrite):
        await store.commit("orders", "o-1", [Delete("order", old)])
    assert (await store.read("orders", "o-1", "order")).etag == new

    assert list(await store.commit("orders", "o-1", [Delete("order", new)])) == [""]
    await put(store, "other", {"n": 1})
    assert list(await store.commit("orders", "o-1", [Delete("other")])) == [""]
    await assert_absent(store, "order", "other")


async def test_an_etag_never_comes_back_after_delete_and_create(store: Store) -> None:
    old = await put(store, "order", {"n": 1})
    await store.commit("orders", "o-1", [Delete("order")])
    new = await put(store, "order", {"n": 1})

    assert old != new
    with pytest.raises(StaleWrite):
        await store.commit("orders", "o-1", [Replace("order", {"n": 2}, old)])


@pytest.mark.parametrize(
    "write", [Replace("gone", {"n": 1}, "1"), Patch("gone", sets={"n": 1}), Delete("gone"), Delete("gone", "1")]
)
async def test_changing_a_missing_document_is_not_found(store: Store, write: Write) -> None:
    with pytest.raises(NotFound):
        await store.commit("orders", "o-1", [write])


async def test_an_etag_that_was_never_ours_is_stale(store: Store) -> None:
    await put(store, "order", {"n": 1})

    with pytest.raises(StaleWrite):
        await store.commit("orders", "o-1", [Replace("order", {"n": 2}, 'W/"nonsense"')])


async def test_a_patch_adds_and_sets_and_leaves_the_rest(store: Store) -> None:
    etag = await put(store, "shard", {"available": 10, "name": "hall", "ratio": 0.5})

    (patched,) = await store.commit(
        "orders",
        "o-1",
        [Patch("shard", increments={"available": -3, "held": 3, "ratio": 1}, sets={"name": "Hall", "tags": ["a"]})],
    )

    read = await store.read("orders", "o-1", "shard")
    assert read.value == {
        "available": 7,
        "held": 3,
        "name": "Hall",
        "tags": ["a"],
        "ratio": 1.5,
        "order_id": "o-1",
    }
    assert read.etag == patched != etag


@pytest.mark.parametrize(
    ("path", "operator", "value", "expected"),
    [
        ("n", "=", 5, True),
        ("n", "=", 4, False),
        ("n", "!=", 4, True),
        ("n", "!=", 5, False),
        ("n", "<", 6, True),
        ("n", "<", 5, False),
        ("n", "<=", 5, True),
        ("n", "<=", 4, False),
        ("n", ">", 4, True),
        ("n", ">", 5, False),
        ("n", ">=", 5, True),
        ("n", ">=", 6, False),
        ("s", "=", "b", True),
        ("s", ">", "a", True),
        ("s", "<", "a", False),
        ("yes", "=", True, True),
        ("yes", "!=", True, False),
        ("yes", "=", False, False),
        ("half", ">", 0, True),
        # Only like is compared with like, and a missing property satisfies nothing.
        ("s", "=", 5, False),
        ("s", "!=", 5, False),
        ("n", "!=", "5", False),
        ("yes", "=", 1, False),
        ("n", "=", True, False),
        ("nothing", "!=", 5, False),
        ("nothing", "!=", "x", False),
        ("list", "!=", 5, False),
        ("missing", "=", 5, False),
        ("missing", "!=", 5, False),
        ("missing", "<", 5, False),
    ],
)
async def test_a_condition_means_the_same_in_a_patch_and_in_a_query(
    store: Store, path: str, operator: Operator, value: str | int | bool, expected: bool
) -> None:
    etag = await put(store, "x", {"n": 5, "s": "b", "yes": True, "half": 0.5, "nothing": None, "list": [5]})
    condition = Where(path, operator, value)

    found = await store.query("orders", "o-1", where=[condition])
    try:
        await store.commit("orders", "o-1", [Patch("x", sets={"seen": True}, conditions=[condition])])
        patched = True
    except ConditionFailed:
        patched = False

    assert (bool(found.documents), patched) == (expected, expected)
    assert ((await store.read("orders", "o-1", "x")).etag != etag) == expected


async def test_every_condition_of_a_patch_must_hold(store: Store) -> None:
    await put(store, "x", {"n": 5, "s": "b"})
    both = [Where("n", ">=", 5), Where("s", "=", "b")]

    await store.commit("orders", "o-1", [Patch("x", increments={"n": 1}, conditions=both)])
    with pytest.raises(ConditionFailed):
        await store.commit(
            "orders", "o-1", [Patch("x", increments={"n": 1}, conditions=[both[0], Where("s", "=", "c")])]
        )

    assert (await store.read("orders", "o-1", "x")).value["n"] == 6


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (Create("there", {"n": 2}), AlreadyExists),
        (Replace("there", {"n": 2}, "999999"), StaleWrite),
        (Delete("there", "999999"), StaleWrite),
        (Patch("there", increments={"n": 1}, conditions=[Where("n", ">", 1)]), ConditionFailed),
        (Patch("missing", increments={"n": 1}), NotFound),
    ],
)
async def test_one_refused_write_undoes_the_whole_commit_and_names_itself(
    store: Store, refused: Write, error: type[CommitRefused]
) -> None:
    etag = await put(store, "there", {"n": 1})
    kept = await put(store, "kept", {"n": 1})

    with pytest.raises(error) as raised:
        await store.commit("orders", "o-1", [Create("first", {}), Delete("kept"), refused, Create("last", {})])

    assert type(raised.value) is error
    assert raised.value.index == 2
    await assert_absent(store, "first", "last")
    assert (await store.read("orders", "o-1", "there")).etag == etag
    assert (await store.read("orders", "o-1", "kept")).etag == kept


async def test_writes_of_a_commit_happen_in_order_and_answer_in_order(store: Store) -> None:
    gone = await put(store, "gone", {})
    etags = await store.commit(
        "orders",
        "o-1",
        [Create("a", {"n": 1}), Delete("gone", gone), Patch("a", increments={"n": 1}), Create("b", {"n": 5})],
    )

    a = await store.read("orders", "o-1", "a")
    b = await store.read("orders", "o-1", "b")
    assert a.value["n"] == 2
    assert list(etags)[1:] == ["", a.etag, b.etag]


async def test_a_hundred_writes_fit_into_a_commit_and_one_more_does_not(store: Store) -> None:
    await store.commit("orders", "o-1", [Create(f"d{n}", {"n": n}) for n in range(WRITES_MAX)])
    assert (await store.read("orders", "o-1", "d99")).value["n"] == 99

    with pytest.raises(ValueError, match="1 to 100 writes"):
        await store.commit("orders", "o-2", [Create(f"d{n}", {"n": n}) for n in range(WRITES_MAX + 1)])
    with pytest.raises(ValueError, match="1 to 100 writes"):
        await store.commit("orders", "o-2", [])
    assert not (await store.query("orders", "o-2")).documents


async def test_a_commit_over_two_megabytes_is_refused(store: Store) -> None:
    half = "x" * (COMMIT_BYTES_MAX // 2)

    with pytest.raises(ValueError, match="bytes"):
        await store.commit("orders", "o-1", [Create("a", {"t": half}), Create("b", {"t": half})])

    await assert_absent(store, "a", "b")


async def test_a_patch_has_at_most_ten_operations(store: Store) -> None:
    await put(store, "x", {"n": 0})
    ten = {f"p{n}": n for n in range(9)}

    await store.commit("orders", "o-1", [Patch("x", increments={"n": 1}, sets=ten)])
    with pytest.raises(ValueError, match="10 operations"):
        await store.commit("orders", "o-1", [Patch("x", increments={"n": 1, "m": 1}, sets=ten)])
    with pytest.raises(ValueError, match="10 operations"):
        await store.commit("orders", "o-1", [Patch("x")])

    assert (await store.read("orders", "o-1", "x")).value["n"] == 1


@pytest.mark.parametrize(
    "write",
    [
        Create("x", {"id": "x"}),
        Create("x", {"ttl": 5}),
        Create("x", {"_etag": "1"}),
        Create("x", {"order_id": "o-2"}),
        Create("x", {"when": object()}),
        Create("a/b", {}),
        Create("a\\b", {}),
        Create("a?b", {}),
        Create("a#b", {}),
        Create("", {}),
        Create("x" * 1024, {}),
        Create("x", {}, ttl_seconds=0),
        Patch("there", sets={"order_id": "o-1"}),
        Patch("there", sets={"_ts": 1}),
        Patch("there", increments={"ttl": 1}),
        Patch("there", increments={"name": 1}),
    ],
)
async def test_what_the_store_can_never_hold_is_an_error_of_the_program(store: Store, write: Write) -> None:
    await put(store, "there", {"name": "Ada"})

    with pytest.raises(ValueError, match=r".+"):
        await store.commit("orders", "o-1", [Create("companion", {}), write])

    await assert_absent(store, "companion", "x")
    assert (await store.read("orders", "o-1", "there")).value == {"name": "Ada", "order_id": "o-1"}


async def test_an_unknown_container_is_an_error_of_the_program(store: Store) -> None:
    with pytest.raises(ValueError, match="no container"):
        await store.read("nowhere", "p", "x")
    with pytest.raises(ValueError, match="no container"):
        await store.commit("nowhere", "p", [Create("x", {})])
    with pytest.raises(ValueError, match="no container"):
        await store.query("nowhere", "p")


async def test_a_partition_may_hold_any_character(store: Store) -> None:
    await store.commit("inventory", "pool#3/ä", [Create("shard", {"n": 1})])

    assert (await store.read("inventory", "pool#3/ä", "shard")).value == {"n": 1, "pool_shard": "pool#3/ä"}


async def test_an_expired_document_is_gone_for_everyone(under_test: StoreUnderTest) -> None:
    store = under_test.store
    etag = await put(store, "x", {"n": 1}, ttl_seconds=2)
    await under_test.pass_time(1)
    assert (await store.read("orders", "o-1", "x")).etag == etag

    await under_test.pass_time(2)

    await assert_absent(store, "x")
    assert not (await store.query("orders", "o-1")).documents
    writes: Sequence[Write] = [Replace("x", {}, etag), Patch("x", sets={"n": 2}), Delete("x"), Delete("x", etag)]
    for write in writes:
        with pytest.raises(NotFound):
            await store.commit("orders", "o-1", [write])
    new = await put(store, "x", {"n": 2})
    assert await store.read("orders", "o-1", "x") == Document("x", "o-1", {"n": 2, "order_id": "o-1"}, new)


async def test_a_change_starts_the_time_to_live_anew(under_test: StoreUnderTest) -> None:
    store = under_test.store
    await put(store, "x", {"n": 1}, ttl_seconds=3)
    await under_test.pass_time(2)
    await store.commit("orders", "o-1", [Patch("x", increments={"n": 1})])
    await under_test.pass_time(2)

    read = await store.read("orders", "o-1", "x")
    assert read.value["n"] == 2
    await store.commit("orders", "o-1", [Replace("x", {"n": 3}, read.etag)])
    await under_test.pass_time(60)
    assert (await store.read("orders", "o-1", "x")).value["n"] == 3  # a replacement without a time to live has none


async def test_of_many_simultaneous_creators_one_wins(store: Store) -> None:
    async def create(n: int) -> int | None:
        try:
            await put(store, "seat", {"by": n})
        except AlreadyExists:
            return None
        return n

    winners = [n for n in await asyncio.gather(*map(create, range(50))) if n is not None]

    assert len(winners) == 1
    assert (await store.read("orders", "o-1", "seat")).value["by"] == winners[0]


async def test_conditional_patches_never_go_below_the_condition(store: Store) -> None:
    await put(store, "shard", {"available": 100})

    async def take(quantity: int) -> int:
        condition = Where("available", ">=", quantity)
        try:
            await store.commit(
                "orders", "o-1", [Patch("shard", increments={"available": -quantity}, conditions=[condition])]
            )
        except ConditionFailed:
            return 0
        return quantity

    taken = sum(await asyncio.gather(*(take(1 + n % 6) for n in range(80))))

    left = (await store.read("orders", "o-1", "shard")).value["available"]
    assert taken + left == 100
    assert left == 0


async def add_one(store: Store, *, guarded: bool) -> None:
    """Read, then write back one more; unguarded, a stale write is repeated without deciding again."""
    read = await store.read("orders", "o-1", "counter")
    decided, etag = {"n": read.value["n"] + 1}, read.etag
    while True:
        try:
            await store.commit("orders", "o-1", [Replace("counter", decided, etag)])
        except StaleWrite:
            read = await store.read("orders", "o-1", "counter")
            etag = read.etag
            if guarded:
                decided = {"n": read.value["n"] + 1}
        else:
            return


async def test_etags_lose_no_update(store: Store) -> None:
    await put(store, "counter", {"n": 0})

    await asyncio.gather(*(add_one(store, guarded=True) for _ in range(30)))

    assert (await store.read("orders", "o-1", "counter")).value["n"] == 30


async def test_repeating_a_stale_write_without_deciding_again_loses_updates(store: Store) -> None:
    """The negative control of the test above: it can fail."""
    await put(store, "counter", {"n": 0})

    await asyncio.gather(*(add_one(store, guarded=False) for _ in range(30)))

    assert (await store.read("orders", "o-1", "counter")).value["n"] < 30


async def test_a_cancelled_commit_does_not_harm_the_others(store: Store) -> None:
    tasks = [asyncio.create_task(put(store, f"d{n}", {"n": n})) for n in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    for n, result in enumerate(results):
        if not isinstance(result, BaseException):
            assert (await store.read("orders", "o-1", f"d{n}")).etag == result
    assert [isinstance(result, str) for result in results[1::2]] == [True] * 10
