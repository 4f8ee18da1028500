"""What the embedded store and bus promise beyond their ports: one instance per file, bounded costs, waking."""

import asyncio
import stat
from datetime import timedelta
from pathlib import Path

from local.host.claims import Claims
from shared.bus.embedded import EmbeddedBus
from shared.bus.port import Message
from shared.store.embedded import EmbeddedStore
from shared.store.port import Create, Patch
from shared.topology import topology
from tests.contract.harness import FakeClock

SECRET = b"a signing secret of thirty-two b"


def test_a_process_has_one_store_and_one_bus_per_file(tmp_path: Path) -> None:
    store = EmbeddedStore.at(tmp_path / "store.db", topology(), SECRET)
    bus = EmbeddedBus.at(tmp_path / "bus.db", topology())

    assert EmbeddedStore.at(tmp_path / "." / "store.db", topology(), SECRET) is store
    assert EmbeddedStore.at(tmp_path / "other.db", topology(), SECRET) is not store
    assert EmbeddedBus.at(tmp_path / "bus.db", topology()) is bus

    EmbeddedStore.at(tmp_path / "other.db", topology(), SECRET).close()
    store.close()
    bus.close()
    again = EmbeddedStore.at(tmp_path / "store.db", topology(), SECRET)
    assert again is not store
    again.close()


def modes_in(folder: Path) -> dict[str, int]:
    """The permissions of each file."""
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


async def test_the_data_of_people_is_its_owners_to_read(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "store.db", topology(), SECRET)
    bus = EmbeddedBus(tmp_path / "bus.db", topology())
    await store.commit("orders", "o", [Create("d", {})])
    await bus.publish("payments", [Message("m", "T", b"{}")])
    await Claims(tmp_path / "host.db").claim("timer", FakeClock()(), owner="x", now=FakeClock()())

    modes = modes_in(tmp_path)

    store.close()
    bus.close()
    assert {"store.db", "store.db-wal", "store.db-shm", "bus.db", "bus.db-wal", "bus.db-shm", "host.db"} <= modes.keys()
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}


async def test_expired_documents_are_purged_some_at_a_time(tmp_path: Path) -> None:
    clock = FakeClock()
    store = EmbeddedStore(tmp_path / "store.db", topology(), SECRET, now=clock)
    await store.commit("orders", "o", [Create(f"d{n}", {}, ttl_seconds=1) for n in range(5)])
    await store.commit("orders", "o", [Create("kept", {}), Create("later", {}, ttl_seconds=60)])
    assert await store.purge_expired(10) == 0
    await clock.pass_time(2)

    assert [await store.purge_expired(3) for _ in range(3)] == [3, 2, 0]

    assert [document.id for document in (await store.query("orders", "o")).documents] == ["kept", "later"]
    assert store.commits.reader.execute("SELECT count(*) FROM documents").fetchone() == (2,)
    store.close()


async def test_commits_of_another_instance_wake_a_waiter_and_lease_traffic_does_not(tmp_path: Path) -> None:
    mine = EmbeddedStore(tmp_path / "store.db", topology(), SECRET)
    other = EmbeddedStore(tmp_path / "store.db", topology(), SECRET)
    await other.commit("orders", "o", [Create("x", {"n": 1})])
    await mine.wait(0.01)

    waiting = asyncio.create_task(mine.wait(30))
    await asyncio.sleep(0)
    assert await other.acquire("orders", "relay", owner="other", seconds=30)
    assert not await mine.acquire("orders", "relay", owner="mine", seconds=30)
    await asyncio.sleep(0.1)
    assert not waiting.done()

    await other.commit("orders", "o", [Patch("x", increments={"n": 1})])
    async with asyncio.timeout(20):
        await waiting
    mine.close()
    other.close()


async def test_a_due_message_nobody_receives_wakes_each_waiter_once(tmp_path: Path) -> None:
    clock = FakeClock()
    bus = EmbeddedBus(tmp_path / "bus.db", topology(), now=clock)
    await bus.publish("payments", [Message("m", "T", b"{}", due_at=clock() + timedelta(seconds=5))])
    assert bus.next_due() == clock() + timedelta(seconds=5)
    await clock.pass_time(6)

    loop = asyncio.get_running_loop()
    await bus.wait(30)
    assert bus.next_due() is None
    started = loop.time()
    await bus.wait(0.05)

    assert loop.time() - started >= 0.04
    bus.close()


async def test_ids_outside_the_window_are_forgotten(tmp_path: Path) -> None:
    clock = FakeClock()
    bus = EmbeddedBus(tmp_path / "bus.db", topology(), now=clock)
    for round_ in range(6):
        await bus.publish("payments", [Message(f"{round_}-{n}", "T", b"{}") for n in range(50)])
        await clock.pass_time(topology().queue("payments").duplicate_detection_minutes * 60 + 1)

    (remembered,) = bus.commits.reader.execute("SELECT count(*) FROM seen").fetchone()

    assert remembered <= 100
    bus.close()
