"""Two host processes over one database, one of them killed now and then: the same books, and timers run once."""

import asyncio
import os
import random
import signal
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from tests.faults.onsale import on_sale, reconciled
from tests.faults.shop import Pool, Shop, opened

ROUNDS = max(3, int(os.environ.get("TORTURE_ROUNDS", "3")) // 4)
SEED = int(os.environ.get("TORTURE_SEED", "20261122"))
DEADLINE_SECONDS = 4
BACK_SECONDS = 15.0
SETTLED_SECONDS = 150.0


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


def timer_runs(data: Path) -> list[tuple[str, datetime]]:
    with closing(sqlite3.connect(data / "host.db")) as connection:
        rows = connection.execute("SELECT timer, occurrence FROM timer_runs").fetchall()
    return [(timer, datetime.fromisoformat(occurrence)) for timer, occurrence in rows]


@pytest.mark.torture
async def test_an_on_sale_over_two_processes_loses_nothing_when_one_is_killed_and_comes_back(tmp_path: Path) -> None:
    pools = [Pool("floor", 200 * ROUNDS, demand=1000), Pool("balcony", 12 * ROUNDS, price=6800)]
    async with opened(tmp_path, pools, deadline_seconds=DEADLINE_SECONDS, workers=2) as shop:
        async with on_sale(shop, buyers=16, deadline_seconds=DEADLINE_SECONDS, seed=SEED, pause_seconds=0.05) as sale:
            different = await one_killed_again_and_again(shop, random.Random(SEED))
        states = await reconciled(shop, sale, seconds=SETTLED_SECONDS)
        host = shop.stack.host
        assert host is not None
        ended = [entry["code"] for entry in host.log_entries() if "starting it again" in entry.get("message", "")]
        runs = timer_runs(tmp_path)
        invoked = [entry for entry in host.log_entries() if entry.get("function") == "audit_inventory"]

    assert different == 2 + ROUNDS
    assert ended == [-signal.SIGKILL] * ROUNDS
    assert states["paid"] > ROUNDS
    assert len(runs) == len(set(runs))
    assert invoked == []
