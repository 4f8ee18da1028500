"""Two host processes over one database, one of them killed now and then: the same books, and timers run once."""

import asyncio
import os
import random
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path

import pytest

from shared.kernel.clock import stamp, utc_now
from shared.kernel.ids import derived_id
from shared.store.embedded import EmbeddedStore
from shared.store.port import Create, Delete
from shared.topology import topology
from tests.faults.databases import read_documents
from tests.faults.onsale import on_sale, reconciled, settled
from tests.faults.shop import Pool, Shop, opened

ROUNDS = int(os.environ.get("TORTURE_ROUNDS", "3"))
SEED = int(os.environ.get("TORTURE_SEED", "20261122"))
DEADLINE_SECONDS = 4
BACK_SECONDS = 120.0  # normally one or two
SETTLED_SECONDS = 150.0
TIMER_SECONDS = 200.0  # normally up to 60: the timer runs at each full minute, and a kill takes its run along


async def one_killed_again_and_again(shop: Shop, chance: random.Random) -> int:
    """Kill one of the two workers, wait until the supervisor has it back; how many different workers there were."""
    host = shop.stack.host
    assert host is not None
    for _ in range(ROUNDS):
        await asyncio.sleep(chance.uniform(0.5, 4.0))
        known = len(host.worker_pids())
        victim = chance.choice([pid for pid in host.worker_pids() if alive(pid, host.process.pid)])
        os.kill(victim, signal.SIGKILL)
        async with asyncio.timeout(BACK_SECONDS):
            while len(host.worker_pids()) == known:  # noqa: ASYNC110 - the supervisor does it
                await asyncio.sleep(0.05)
    return len(set(host.worker_pids()))


def alive(pid: int, parent: int) -> bool:
    """Whether `pid` is a living child of `parent`: a number may have gone to somebody else meanwhile."""
    try:
        state, found = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except FileNotFoundError:
        return False
    return state != "Z" and int(found) == parent


def repair_runs(data: Path) -> list[str]:
    """The minutes for which a worker claimed the repair timer."""
    with closing(sqlite3.connect(data / "host.db")) as connection:
        rows = connection.execute("SELECT occurrence FROM timer_runs WHERE timer = 'repair_orders'").fetchall()
    return [occurrence for (occurrence,) in rows]


@asynccontextmanager
async def overdue(shop: Shop) -> AsyncIterator[str]:
    """An order the repair timer looks at in each of its runs, and says so, but that needs no help: its deadline is far.

    So the log tells how often the timer ran, in whichever worker.
    """
    [buyer] = await shop.people(1, prefix="overdue")
    placed = await shop.placed(buyer, {"floor": 1})
    await shop.until(buyer, placed["order_id"], "expired")
    order_id = derived_id("ord", "overdue")
    original = read_documents(shop.stack.data)["orders", placed["order_id"], "order"]
    long_ago, far = stamp(utc_now() - timedelta(hours=1)), stamp(utc_now() + timedelta(days=1))
    forged = {**original, "order_id": order_id, "state": "placed", "held": [], "due_at": long_ago, "deadline": far}
    store = EmbeddedStore(shop.stack.data / "store.db", topology(), b"s" * 32)
    try:
        await store.commit("orders", order_id, [Create("order", forged)])
        yield order_id
        await store.commit("orders", order_id, [Delete("order")])
    finally:
        store.close()


def looked_at(shop: Shop, order_id: str) -> int:
    """How often a repair timer said that it looked at the order."""
    assert shop.stack.host is not None
    entries = shop.stack.host.log_entries()
    return len([e for e in entries if e.get("event") == "order_overdue" and e.get("order_id") == order_id])


@pytest.mark.torture
async def test_an_on_sale_over_two_processes_loses_nothing_when_one_is_killed_and_comes_back(tmp_path: Path) -> None:
    pools = [Pool("floor", 200 * ROUNDS, demand=1000), Pool("balcony", 12 * ROUNDS, price=6800)]
    async with opened(tmp_path, pools, deadline_seconds=DEADLINE_SECONDS, workers=2) as shop:
        async with overdue(shop) as order_id:
            async with on_sale(
                shop, buyers=16, deadline_seconds=DEADLINE_SECONDS, seed=SEED, pause_seconds=0.05, least=ROUNDS + 1
            ) as sale:
                sale.answers.keys["overdue"] += 1
                different = await one_killed_again_and_again(shop, random.Random(SEED))
            await settled(shop, seconds=SETTLED_SECONDS)
            async with asyncio.timeout(TIMER_SECONDS):
                while not looked_at(shop, order_id):  # noqa: ASYNC110 - the timer does it, at each full minute
                    await asyncio.sleep(0.2)
            await asyncio.sleep(1)  # a second worker's run of the same minute would come now
            runs, looks = repair_runs(tmp_path), looked_at(shop, order_id)
        states = await reconciled(shop, sale, seconds=SETTLED_SECONDS)
        host = shop.stack.host
        assert host is not None
        ended = [entry["code"] for entry in host.log_entries() if "starting it again" in entry.get("message", "")]

    assert different == 2 + ROUNDS
    assert ended == [-signal.SIGKILL] * ROUNDS
    assert states["paid"] > ROUNDS
    # A worker killed within its run takes that run with it; no minute is ever run twice.
    assert 1 <= looks <= len(runs)
