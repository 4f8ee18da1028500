"""A process that works on an embedded store or bus until it is done or killed; started by `tests/faults/processes.py`.

It says `ready`, waits for a line on stdin, works, and prints one JSON value per line.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from shared.bus.embedded import EmbeddedBus
from shared.bus.port import Message
from shared.store.embedded import EmbeddedStore
from shared.store.port import Create, NotFound, Replace, StaleWrite
from shared.topology import topology

SECRET = b"a signing secret of thirty-two b"


class NoTurn:
    """The negative control of the turnstile: everybody may always write, so SQLite's own lock decides."""

    def try_enter(self) -> bool:
        """Always."""
        return True

    def enter(self) -> None:
        """At once."""

    def leave(self) -> None:
        """Nothing to give back."""

    def close(self) -> None:
        """Nothing to close."""


def say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


async def write_forever(store: EmbeddedStore, name: str) -> None:
    """Sixteen writers; each acknowledged commit is printed after it was acknowledged."""

    async def writer(k: int) -> None:
        n = 0
        while True:
            n += 1
            partition = f"{name}-{k}-{n}"
            await store.commit("orders", partition, [Create("order", {"n": n}), Create("outbox:1", {"n": n})])
            say(partition)

    await asyncio.gather(*(writer(k) for k in range(16)))


async def commit_for(store: EmbeddedStore, name: str, seconds: float) -> None:
    """Four writers for some seconds; prints how many commits they got."""
    loop = asyncio.get_running_loop()
    end, done = loop.time() + seconds, 0

    async def writer(k: int) -> None:
        nonlocal done
        n = 0
        while loop.time() < end:
            await store.commit("orders", f"{name}-{k}-{n}", [Create("order", {})])
            done += 1
            n += 1

    await asyncio.gather(*(writer(k) for k in range(4)))
    say(done)


async def increment(store: EmbeddedStore, times: int, *, guarded: bool) -> None:
    """Add one to the shared counter, many times; unguarded, a stale write is repeated without deciding again."""
    for _ in range(times):
        read = await store.read("orders", "shared", "counter")
        decided, etag = read.value["n"] + 1, read.etag
        while True:
            try:
                await store.commit("orders", "shared", [Replace("counter", {"n": decided}, etag)])
                break
            except StaleWrite:
                read = await store.read("orders", "shared", "counter")
                etag = read.etag
                if guarded:
                    decided = read.value["n"] + 1
    say(times)


async def race_for_leases(store: EmbeddedStore, name: str, leases: int) -> None:
    """Try to take each lease once; prints those won."""
    won = await asyncio.gather(*(store.acquire("orders", f"lease-{n}", owner=name, seconds=60) for n in range(leases)))
    say([n for n, mine in enumerate(won) if mine])


async def relay_until(store: EmbeddedStore, name: str, wanted: int) -> None:
    """Consume the feed under a short lease until every document was seen by someone; prints what this one saw."""
    seen = []
    while True:
        try:
            await store.read("orders", "shared", "done")
            break
        except NotFound:
            pass
        if await store.acquire("orders", "relay", owner=name, seconds=10) and (
            batch := await store.changes("orders", "relay", owner=name, limit=5)
        ):
            seen += [document["id"] for document in batch.documents]
            await store.advance("orders", "relay", owner=name, position=batch.position)
            if int(batch.position) >= wanted:
                await store.commit("orders", "shared", [Create("done", {})])
        await store.release("orders", "relay", owner=name)
    say(seen)


async def publish_forever(bus: EmbeddedBus, name: str) -> None:
    """Eight publishers; each id is printed after the bus has it."""

    async def publisher(k: int) -> None:
        n = 0
        while True:
            n += 1
            id_ = f"{name}-{k}-{n}"
            await bus.publish("events", [Message(id_, "OrderPaid", b"{}")])
            say(id_)

    await asyncio.gather(*(publisher(k) for k in range(8)))


async def consume_forever(bus: EmbeddedBus) -> None:
    """Receive and complete; each id is printed after its message is gone."""
    while True:
        for delivery in await bus.receive("stock", messages_max=5):
            await bus.complete(delivery)
            say(delivery.message.id)
        await asyncio.sleep(0)


def main() -> None:
    task, path, name, *rest = sys.argv[1:]
    if task in {"publish", "consume"}:
        bus = EmbeddedBus(Path(path), topology())
        say("ready")
        sys.stdin.readline()
        asyncio.run(publish_forever(bus, name) if task == "publish" else consume_forever(bus))
        return
    turn = NoTurn() if "no-turnstile" in rest else None
    store = EmbeddedStore(Path(path), topology(), SECRET, turn=turn)
    say("ready")
    sys.stdin.readline()
    work: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
        "write": lambda: write_forever(store, name),
        "commit": lambda: commit_for(store, name, float(rest[0])),
        "increment": lambda: increment(store, int(rest[0]), guarded="unguarded" not in rest),
        "leases": lambda: race_for_leases(store, name, int(rest[0])),
        "relay": lambda: relay_until(store, name, int(rest[0])),
    }
    asyncio.run(work[task]())
    store.close()


if __name__ == "__main__":
    main()
