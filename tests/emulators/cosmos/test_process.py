"""The emulator as a process: what it promised survives `kill -9`, and of two writers one is refused."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.emulators.cosmos.conftest import KEY
from tests.emulators.cosmos.rest import LISTINGS, Rest, ids
from tests.emulators.processes import Emulator

WRITERS = 8
ROUNDS = 10
ACKNOWLEDGED = 40


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    monkeypatch.setenv("COSMOS_KEY", KEY)
    with Emulator("cosmos", tmp_path) as emulator:
        yield emulator


@pytest.fixture
async def rest(running: Emulator) -> AsyncIterator[Rest]:
    async with httpx.AsyncClient(timeout=60) as http:
        yield Rest(http, running.url, KEY)


async def test_what_was_acknowledged_is_there_after_kill_9(running: Emulator, rest: Rest) -> None:
    await rest.container("made")
    acknowledged: list[str] = []
    enough = asyncio.Event()

    async def write(name: str) -> None:
        for number in range(200):
            id_ = f"{name}-{number}"
            operations = [
                {"operationType": "Create", "resourceBody": {"id": f"{id_}-{part}", "list_id": "public"}}
                for part in "ab"
            ]
            if (await rest.batch(operations)).status_code == 200:
                acknowledged.append(id_)
            if len(acknowledged) >= ACKNOWLEDGED:
                enough.set()

    writing = [asyncio.create_task(write(f"w{number}")) for number in range(4)]
    await asyncio.wait_for(enough.wait(), timeout=120)
    running.kill()
    ended = await asyncio.gather(*writing, return_exceptions=True)
    running.restart()

    found: set[str] = set()
    token = ""
    for _ in range(20):
        headers = {"x-ms-max-item-count": "1000", **({"x-ms-continuation": token} if token else {})}
        page = await rest.query("SELECT * FROM c", headers=headers)
        found.update(ids(page))
        token = page.headers.get("x-ms-continuation", "")
        if not token:
            break
    assert all(isinstance(result, httpx.TransportError) for result in ended)
    assert {f"{id_}-{part}" for id_ in acknowledged for part in "ab"} <= found
    assert all(f"{id_[:-1]}b" in found for id_ in found if id_.endswith("a")), "half a batch"
    assert (await rest.ask("GET", "dbs/tessera/colls/made")).status_code == 200


async def race(rest: Rest, *, guarded: bool) -> list[int]:
    """The statuses of writers that all read the same version and all write."""
    read = await rest.ask("GET", f"{LISTINGS}/docs/a", partition="public")
    headers = {"if-match": read.headers["etag"]} if guarded else {}
    body = {"id": "a", "list_id": "public", "n": read.json()["n"] + 1}
    writes = [rest.ask("PUT", f"{LISTINGS}/docs/a", body, partition="public", headers=headers) for _ in range(WRITERS)]
    return sorted(answer.status_code for answer in await asyncio.gather(*writes))


async def test_of_many_writers_with_one_etag_exactly_one_succeeds(rest: Rest) -> None:
    await rest.create({"id": "a", "list_id": "public", "n": 0})

    results = [await race(rest, guarded=True) for _ in range(ROUNDS)]

    assert results == [[200, *[412] * (WRITERS - 1)]] * ROUNDS
    assert (await rest.ask("GET", f"{LISTINGS}/docs/a", partition="public")).json()["n"] == ROUNDS


async def test_without_the_etag_all_of_them_succeed(rest: Rest) -> None:
    """The control of the race above: the writers do meet."""
    await rest.create({"id": "a", "list_id": "public", "n": 0})

    assert await race(rest, guarded=False) == [200] * WRITERS


def test_without_anybody_to_let_in_it_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COSMOS_KEY", raising=False)
    command = [sys.executable, "-m", "local.emulators.cosmos", "--data", str(tmp_path), "--port", "0"]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert ended.returncode == 1
    assert "say who may come in" in ended.stderr
