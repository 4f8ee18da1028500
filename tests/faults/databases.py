"""The databases of a stack, whichever kind it has: our own store and bus, or those of the doubles of Azure's services.

Read with nothing but sqlite3, so that no code under test stands between the oracle and the facts. The doubles keep
documents and messages in SQLite files of their own (`local/emulators/cosmos/account.py`, `servicebus/engine.py`).
"""

import json
import re
import sqlite3
import time
from base64 import b64decode
from contextlib import closing
from pathlib import Path
from typing import Any, Final

type Record = dict[str, Any]
type Document = tuple[str, str, str]
type Message = tuple[str, int, str, str]

DEAD: Final = 3
PATIENCE_SECONDS: Final = 60.0
_STATES: Final = ("ready", "locked", "scheduled", "dead")
_LEASES: Final = "leases"
_NUMBER: Final = re.compile(r'"token": "\\"(\d+)\\""')  # where a feed stands, within the SDK's own token


def read_documents(data: Path) -> dict[Document, Record]:
    """Every live document by container, partition and id."""
    if _cosmos(data).exists():
        sql = (
            "SELECT c.id, d.partition, d.id, d.body FROM documents AS d JOIN containers AS c ON c.number = d.container "
            "WHERE d.expires_at IS NULL OR d.expires_at > ?"
        )
        rows = [(found, json.loads(key)[0], *rest) for found, key, *rest in rows_of(_cosmos(data), sql, time.time())]
    else:
        sql = "SELECT container, partition, id, body FROM documents WHERE expires_at IS NULL OR expires_at > ?"
        rows = rows_of(data / "store.db", sql, time.time())
    return {(container, partition, id_): json.loads(body) for container, partition, id_, body in rows}


def read_messages(data: Path) -> list[Message]:
    """Every message of the bus: queue, state (0 ready, 1 locked, 2 scheduled, 3 dead), id, reason."""
    sql = "SELECT queue, state, id, reason FROM messages"
    # The double of Service Bus has a state more: a dead letter that somebody has in hand.
    return [(queue, min(state, DEAD), id_, reason or "") for queue, state, id_, reason in rows_of(_bus(data), sql)]


def unfinished(data: Path) -> dict[str, int]:
    """What is still on its way, by name; empty once everything has settled.

    Store and bus are two files, and what leaves one after the other was read would be seen in neither: so they are only
    believed if nothing changed on the bus while the store was read. What left the store since then is on its way to it.
    """
    with closing(_reading(_bus(data))) as bus:
        before = _version(bus)
        left = {**_on_the_bus(bus), **_in_the_store(data)}
        moved = _version(bus) - before
    return {name: number for name, number in {**left, "moved meanwhile": moved}.items() if number}


def _version(connection: sqlite3.Connection) -> int:
    """A number that changes with each commit of another connection (https://sqlite.org/pragma.html#pragma_data_version)."""
    [(version,)] = connection.execute("PRAGMA data_version").fetchall()
    return int(version)


def _on_the_bus(bus: sqlite3.Connection) -> dict[str, int]:
    alive = bus.execute("SELECT queue, state, count(*) FROM messages WHERE state < 3 GROUP BY queue, state").fetchall()
    return {f"{queue} {_STATES[state]}": number for queue, state, number in alive}


def _in_the_store(data: Path) -> dict[str, int]:
    outbox = "SELECT count(*) FROM documents WHERE id LIKE 'outbox:%'"
    if _cosmos(data).exists():
        return {"outbox": rows_of(_cosmos(data), outbox)[0][0], "feeds": len(feeds_behind(data))}
    behind = (
        "SELECT count(*) FROM leases AS l WHERE EXISTS "
        "(SELECT 1 FROM documents AS d WHERE d.container = l.container AND d.seq > l.position)"
    )
    store = data / "store.db"
    return {"outbox": rows_of(store, outbox)[0][0], "feeds": rows_of(store, behind)[0][0]}


def feeds_behind(data: Path) -> list[str]:
    """The leases of Cosmos DB that have not seen every change: documents were written after the place they stand at."""
    newer = (
        "SELECT count(*) FROM documents AS d JOIN containers AS c ON c.number = d.container WHERE c.id = ? "
        "AND d.place >= ? AND d.place < ? AND d.lsn > ? AND (d.expires_at IS NULL OR d.expires_at > ?)"
    )
    leases = {id_: value for (name, _, id_), value in read_documents(data).items() if name == _LEASES}
    return [
        id_
        for id_, value in leases.items()
        for place in json.loads(value["position"] or _WHOLE)
        if rows_of(_cosmos(data), newer, id_.partition(".")[0], *_range(place), _stands_at(place), time.time())[0][0]
    ]


_WHOLE: Final = (
    '[{"feed_range": {"Range": {"min": "", "max": "FF"}}, "token": null}]'  # of a lease that has seen nothing
)


def _range(place: Record) -> tuple[str, str]:
    bounds = place["feed_range"]["Range"]
    return bounds["min"], bounds["max"]


def _stands_at(place: Record) -> int:
    if place["token"] is None:
        return 0
    [number] = _NUMBER.findall(b64decode(place["token"]).decode())
    return int(number)


def rows_of(path: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """What a query finds in a database that others write to."""
    with closing(_reading(path)) as connection:
        return connection.execute(sql, values).fetchall()


def _reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=PATIENCE_SECONDS)


def _cosmos(data: Path) -> Path:
    return data / "cosmos" / "cosmos.sqlite"


def _bus(data: Path) -> Path:
    servicebus = data / "servicebus" / "servicebus.db"
    return servicebus if servicebus.exists() else data / "bus.db"
