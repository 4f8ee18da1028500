"""The change-feed pump through real host processes, on the embedded store."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from local.host.process import HostProcess
from shared.store.embedded import EmbeddedStore
from shared.store.port import Create, Patch
from shared.topology import topology
from tests.host.apps.recording import records

APP = Path(__file__).parent / "apps" / "feed"
TOPOLOGY = topology(APP / "infra" / "topology.json")
SECRET = "s" * 32


def environment(data: Path) -> dict[str, str]:
    return {"RECORD": str(data / "record"), "FAILING": str(data / "failing"), "TESSERA_SIGNING_SECRET": SECRET}


def open_store(data: Path) -> "closing[EmbeddedStore]":
    return closing(EmbeddedStore(data / "store.db", TOPOLOGY, SECRET.encode()))


async def create(data: Path, name: str, container: str = "things", **value: Any) -> None:
    with open_store(data) as store:
        await store.commit(container, name, [Create(name, value)])


async def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.02)


def seen_times(data: Path, function: str, name: str, times: int) -> bool:
    return seen(data, function).count(name) >= times


def seen(data: Path, function: str) -> list[str]:
    return [name for entry in records(data / "record", function) for name in entry["ids"]]


async def test_a_failed_batch_is_skipped_without_retry_and_given_again_with_it(tmp_path: Path) -> None:
    (tmp_path / "failing").touch()
    await create(tmp_path, "old")
    with HostProcess.start(app=APP, data=tmp_path, environment=environment(tmp_path)) as host:
        await eventually(lambda: seen(tmp_path, "plain") == ["old"])
        host.wait_for_log("Feed begins at the changes to come")
        await create(tmp_path, "bad", fail=True)
        await eventually(lambda: seen(tmp_path, "stubborn").count("bad") >= 3)
        await create(tmp_path, "after")
        await eventually(lambda: seen(tmp_path, "plain") == ["old", "bad", "after"])
        stuck = seen(tmp_path, "stubborn")
        (tmp_path / "failing").unlink()
        await eventually(lambda: "after" in seen(tmp_path, "stubborn"))
        await eventually(lambda: "after" in seen(tmp_path, "from_now"))
        log = host.log_entries()

    assert "after" not in stuck
    attempts = [entry["attempt"] for entry in records(tmp_path / "record", "stubborn") if entry["ids"] == ["bad"]]
    assert attempts == list(range(len(attempts)))
    skipped = [(entry["level"], entry["function"], entry["documents"]) for entry in log if entry.get("skipped")]
    assert sorted(skipped) == [("CRITICAL", "from_now", ["bad"]), ("CRITICAL", "plain", ["bad"])]
    assert seen(tmp_path, "from_now") == ["bad", "after"]


async def test_a_stop_between_attempts_leaves_the_batch_to_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "failing").touch()
    await create(tmp_path, "bad", fail=True)
    with HostProcess.start(app=APP, data=tmp_path, environment=environment(tmp_path)) as host:
        await eventually(lambda: seen(tmp_path, "stubborn").count("bad") >= 2)
        assert host.stop() == 0
    before = len(seen(tmp_path, "stubborn"))
    (tmp_path / "failing").unlink()

    with HostProcess.start(app=APP, data=tmp_path, environment=environment(tmp_path)):
        await eventually(lambda: len(seen(tmp_path, "stubborn")) > before)
        await asyncio.sleep(0.4)

    assert len(seen(tmp_path, "stubborn")) == before + 1
    assert seen(tmp_path, "plain") == ["bad"]


async def test_a_killed_process_leaves_its_lease_and_batch_to_another(tmp_path: Path) -> None:
    first = HostProcess.start(app=APP, data=tmp_path, environment=environment(tmp_path))
    try:
        await create(tmp_path, "heavy", container="others", seconds=60)
        await eventually(lambda: len(records(tmp_path / "record", "slow begun")) == 1)
        second = HostProcess.start(app=APP, data=tmp_path, environment=environment(tmp_path))
        await asyncio.sleep(0.5)
        alone = len(records(tmp_path / "record", "slow begun"))
        first.kill()
        try:
            await eventually(lambda: len(records(tmp_path / "record", "slow begun")) == 2)
        finally:
            second.kill()
    finally:
        first.kill()
    holders = {entry["pid"] for entry in records(tmp_path / "record", "slow begun")}

    assert alone == 1
    assert len(holders) == 2


async def test_a_batch_longer_than_the_lease_is_seen_once_by_two_processes(tmp_path: Path) -> None:
    with (
        HostProcess.start(app=APP, data=tmp_path, environment=environment(tmp_path)),
        HostProcess.start(app=APP, data=tmp_path, environment=environment(tmp_path)),
    ):
        await create(tmp_path, "long", container="others", seconds=5.8)  # the lease lasts five seconds
        await eventually(lambda: len(records(tmp_path / "record", "slow done")) == 1)
        await asyncio.sleep(0.4)

    assert seen(tmp_path, "slow begun") == ["long"]


async def test_a_feed_with_a_poll_delay_sees_the_last_of_what_changed_meanwhile(tmp_path: Path) -> None:
    with HostProcess.start(app=APP, data=tmp_path, environment=environment(tmp_path)):
        await create(tmp_path, "first")
        await eventually(lambda: seen(tmp_path, "unhurried") == ["first"])
        with open_store(tmp_path) as store:
            await store.commit("things", "busy", [Create("busy", {"n": 0})])
            for number in range(1, 6):
                await eventually(partial(seen_times, tmp_path, "plain", "busy", number))
                await store.commit("things", "busy", [Patch("busy", increments={"n": 1})])
        await eventually(lambda: seen(tmp_path, "plain").count("busy") == 6)
        await eventually(lambda: "busy" in seen(tmp_path, "unhurried"))

    assert seen(tmp_path, "unhurried").count("busy") < seen(tmp_path, "plain").count("busy")
