"""Reads that look through many rows, off the event loop."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.sqlite.scans import WAITING_MAX, Scans, ScansBusy
from shared.store.embedded import EmbeddedStore
from shared.store.port import Busy, Create, Where
from shared.topology import topology

# Counts for seconds, if nobody interrupts it.
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT max(i) FROM n"


@pytest.fixture
def scans(tmp_path: Path) -> Iterator[Scans]:
    sqlite3.connect(tmp_path / "a.db").close()
    found = Scans(tmp_path / "a.db")
    yield found
    found.close()


async def test_the_event_loop_goes_on_while_rows_are_looked_through(scans: Scans) -> None:
    steps = 0
    scan = asyncio.create_task(scans.select(ENDLESS, (1_000_000,)))
    while not scan.done():
        await asyncio.sleep(0)
        steps += 1

    assert await scan == [(1_000_000,)]
    assert steps > 10, "between its begin and its end the loop would turn two or three times"


async def test_so_many_wait_and_no_more(scans: Scans) -> None:
    waiting = [asyncio.create_task(scans.select("SELECT ?", (number,))) for number in range(WAITING_MAX)]
    await asyncio.sleep(0)

    with pytest.raises(ScansBusy):
        await scans.select("SELECT 1", ())

    assert await asyncio.gather(*waiting) == [[(number,)] for number in range(WAITING_MAX)]
    assert await scans.select("SELECT 1", ()) == [(1,)]


async def test_a_store_that_looks_through_too_much_at_once_is_busy_and_reads_still_work(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "store.db", topology(), b"s" * 32)
    await store.commit("listings", "public", [Create("a", {"city": "Bern"})])
    where = [Where("city", "=", "Bern"), Where("city", "contains", "er")]

    searches = await asyncio.gather(
        *(store.query("listings", "public", where=where) for _ in range(WAITING_MAX + 5)), return_exceptions=True
    )
    read = await store.read("listings", "public", "a")

    assert [each for each in searches if isinstance(each, BaseException) and not isinstance(each, Busy)] == []
    assert sum(isinstance(each, Busy) for each in searches) == 5
    assert read.value["city"] == "Bern"
    store.close()


async def test_what_was_committed_is_found_at_once(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "store.db", topology(), b"s" * 32)
    for number in range(200):
        await store.commit("listings", "public", [Create(f"d{number:03}", {"city": "Bern"})])
        (count,) = await store.counts_by("listings", "public", by=["city"])
        assert count.number == number + 1
    store.close()
