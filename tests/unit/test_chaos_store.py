"""The chaos wrapper misbehaves exactly as it is told to, and reproducibly."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.store.chaos import ChaosStore, Misbehaviour
from shared.store.embedded import EmbeddedStore
from shared.store.port import Busy, Create, NotFound, Patch, Replace, StaleWrite, StoreError, Unavailable
from shared.topology import topology

CREATE = Create("x", {"n": 1})


@pytest.fixture
def inner(tmp_path: Path) -> Iterator[EmbeddedStore]:
    store = EmbeddedStore(tmp_path / "store.db", topology(), b"x" * 32)
    yield store
    store.close()


async def test_switched_off_it_only_passes_on(inner: EmbeddedStore) -> None:
    store = ChaosStore(inner, seed=1)

    await store.commit("orders", "o", [CREATE])

    assert await store.read("orders", "o", "x") == await inner.read("orders", "o", "x")
    assert (await store.query("orders", "o")).documents == (await inner.query("orders", "o")).documents
    assert store.count == {}


async def test_a_lost_answer_has_happened(inner: EmbeddedStore) -> None:
    store = ChaosStore(inner, seed=1, misbehaviour=Misbehaviour(lost_answer=1))

    with pytest.raises(Unavailable):
        await store.commit("orders", "o", [CREATE])

    assert (await inner.read("orders", "o", "x")).value["n"] == 1


async def test_a_lost_request_has_not_happened(inner: EmbeddedStore) -> None:
    store = ChaosStore(inner, seed=1, misbehaviour=Misbehaviour(lost_request=1))

    with pytest.raises(Unavailable):
        await store.commit("orders", "o", [CREATE])

    with pytest.raises(NotFound):
        await inner.read("orders", "o", "x")


@pytest.mark.parametrize("name", ["throttled", "locked"])
async def test_a_busy_store_did_nothing_and_says_when_to_come_again(inner: EmbeddedStore, name: str) -> None:
    store = ChaosStore(inner, seed=1, misbehaviour=Misbehaviour(**{name: 1.0}))

    with pytest.raises(Busy) as raised:
        await store.commit("orders", "o", [CREATE])

    assert raised.value.retry_after_seconds > 0
    with pytest.raises(NotFound):
        await inner.read("orders", "o", "x")


async def test_a_throttled_store_refuses_reads_and_queries(inner: EmbeddedStore) -> None:
    store = ChaosStore(inner, seed=1, misbehaviour=Misbehaviour(throttled=1))

    with pytest.raises(Busy):
        await store.read("orders", "o", "x")
    with pytest.raises(Busy):
        await store.query("orders", "o")


async def test_a_stale_read_gives_an_earlier_version_whose_etag_no_longer_proves_anything(inner: EmbeddedStore) -> None:
    store = ChaosStore(inner, seed=1, misbehaviour=Misbehaviour(stale_read=1))
    await store.commit("orders", "o", [CREATE])
    await store.commit("orders", "o", [Patch("x", increments={"n": 1})])

    stale = await store.read("orders", "o", "x")

    assert (stale.value["n"], (await inner.read("orders", "o", "x")).value["n"]) == (1, 2)
    with pytest.raises(StaleWrite):
        await store.commit("orders", "o", [Replace("x", {"n": 9}, stale.etag)])


async def test_a_batch_comes_twice_and_the_next_one_still_comes(inner: EmbeddedStore) -> None:
    store = ChaosStore(inner, seed=1, misbehaviour=Misbehaviour(repeated_batch=1))
    await store.acquire("orders", "relay", owner="me", seconds=30)

    seen = []
    for n in range(2):
        await inner.commit("orders", "o", [Create(f"d{n}", {})])
        while batch := await store.changes("orders", "relay", owner="me", limit=1):
            seen += [document["id"] for document in batch.documents]
            await store.advance("orders", "relay", owner="me", position=batch.position)

    assert seen == ["d0", "d0", "d1", "d1"]


async def test_a_dropped_batch_never_comes(inner: EmbeddedStore) -> None:
    store = ChaosStore(inner, seed=1, misbehaviour=Misbehaviour(dropped_batch=1))
    await store.acquire("orders", "relay", owner="me", seconds=30)
    await inner.commit("orders", "o", [Create("d0", {}), Create("d1", {}), Create("d2", {})])

    batch = await store.changes("orders", "relay", owner="me", limit=1)

    assert batch is not None
    assert [document["id"] for document in batch.documents] == ["d1"]


async def test_the_same_seed_misbehaves_the_same_way(tmp_path: Path) -> None:
    async def outcomes(name: str, seed: int) -> list[str]:
        inner = EmbeddedStore(tmp_path / name, topology(), b"x" * 32)
        store = ChaosStore(
            inner, seed=seed, misbehaviour=Misbehaviour(throttled=0.2, lost_answer=0.3, lost_request=0.3)
        )
        found = []
        for n in range(60):
            try:
                await store.commit("orders", "o", [Create(f"d{n}", {})])
                found.append("done")
            except StoreError as error:
                found.append(str(error))
        inner.close()
        return found

    first = await outcomes("a", 7)

    assert first == await outcomes("b", 7)
    assert first != await outcomes("c", 8)
    assert len(set(first)) == 4
