"""Where the emulator keeps its objects: one row each, with the document as the API shows it."""

import secrets
import sqlite3
from collections.abc import Iterator
from typing import Any

import orjson

from local.emulators.database import Database

Object = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    object TEXT NOT NULL,
    status TEXT,
    payment_intent TEXT,
    due_at INTEGER,
    document BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS objects_by_kind ON objects (object, seq);
CREATE INDEX IF NOT EXISTS objects_by_payment ON objects (payment_intent, object) WHERE payment_intent IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_by_due ON objects (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS idempotency (
    key TEXT PRIMARY KEY,
    endpoint TEXT NOT NULL,
    parameters BLOB NOT NULL,
    status INTEGER NOT NULL,
    body BLOB NOT NULL,
    request_id TEXT NOT NULL,
    stored_at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY,
    event TEXT NOT NULL,
    type TEXT NOT NULL,
    due_at REAL NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    outcome TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (due_at) WHERE state = 'pending';
CREATE TABLE IF NOT EXISTS memory (name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""


def new_id(prefix: str) -> str:
    """A fresh id that looks like Stripe's, e.g. `pi_3f0c…`."""
    return f"{prefix}_{secrets.token_hex(12)}"


class Ledger:
    """The objects of the emulated account, by id and by kind."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, thing: Object, *, due_at: int | None = None) -> None:
        """Keep a new object; `due_at` (Unix seconds) is when it needs attention by itself."""
        self.database.change(
            "INSERT INTO objects (id, object, status, payment_intent, due_at, document) VALUES (?, ?, ?, ?, ?, ?)",
            thing["id"],
            thing["object"],
            thing.get("status"),
            thing.get("payment_intent"),
            due_at,
            orjson.dumps(thing),
        )

    def save(self, thing: Object) -> None:
        """Overwrite an object whatever became of it; for changes that cannot lose a race."""
        self.database.change(
            "UPDATE objects SET status = ?, payment_intent = ?, document = ? WHERE id = ?",
            thing.get("status"),
            thing.get("payment_intent"),
            orjson.dumps(thing),
            thing["id"],
        )

    def finish(self, thing: Object, *, before: str) -> bool:
        """Overwrite an object only if its status still is `before`; of two who try, one is told no."""
        changed = self.database.change(
            "UPDATE objects SET status = ?, payment_intent = ?, document = ?, due_at = NULL "
            "WHERE id = ? AND status = ?",
            thing["status"],
            thing.get("payment_intent"),
            orjson.dumps(thing),
            thing["id"],
            before,
        )
        return changed == 1

    def find(self, kind: str, identity: str) -> Object | None:
        """The object of that kind and id, if there is one."""
        row = self.database.one("SELECT document FROM objects WHERE id = ? AND object = ?", identity, kind)
        return None if row is None else _read(row)

    def due(self, now: int) -> list[Object]:
        """Objects whose time has come."""
        return [_read(row) for row in self.database.all("SELECT document FROM objects WHERE due_at <= ?", now)]

    def every(self, kind: str) -> Iterator[Object]:
        """All objects of a kind, oldest first."""
        for row in self.database.all("SELECT document FROM objects WHERE object = ? ORDER BY seq", kind):
            yield _read(row)

    def of_payment(self, kind: str, payment_intent: str) -> list[Object]:
        """All objects of a kind that belong to a payment, oldest first."""
        rows = self.database.all(
            "SELECT document FROM objects WHERE payment_intent = ? AND object = ? ORDER BY seq", payment_intent, kind
        )
        return [_read(row) for row in rows]

    def page(
        self,
        kind: str,
        *,
        limit: int,
        after: str | None = None,
        before: str | None = None,
        payment_intent: str | None = None,
        status: str | None = None,
    ) -> tuple[list[Object], bool]:
        """Up to `limit` objects, newest first, and whether there are more in that direction.

        :raises LookupError: `after` or `before` names nothing
        """
        conditions, values = ["object = ?"], [kind]
        for column, wanted in (("payment_intent", payment_intent), ("status", status)):
            if wanted is not None:
                conditions.append(f"{column} = ?")
                values.append(wanted)
        for cursor, comparison in ((after, "<"), (before, ">")):
            if cursor is not None:
                conditions.append(f"seq {comparison} ?")
                values.append(self._sequence(cursor))
        direction = "DESC" if before is None else "ASC"
        query = f"SELECT document FROM objects WHERE {' AND '.join(conditions)} ORDER BY seq {direction} LIMIT ?"  # noqa: S608 - names above
        found = [_read(row) for row in self.database.all(query, *values, limit + 1)]
        page = found[:limit] if before is None else found[:limit][::-1]
        return page, len(found) > limit

    def recall(self, name: str) -> Any:
        """Something remembered beside the objects, or None."""
        row = self.database.one("SELECT value FROM memory WHERE name = ?", name)
        return None if row is None else orjson.loads(row["value"])

    def remember(self, name: str, value: Any) -> None:
        """Keep a small JSON value by name."""
        self.database.change("INSERT OR REPLACE INTO memory VALUES (?, ?)", name, orjson.dumps(value))

    def _sequence(self, identity: str) -> Any:
        row = self.database.one("SELECT seq FROM objects WHERE id = ?", identity)
        if row is None:
            raise LookupError(identity)
        return row["seq"]


def _read(row: sqlite3.Row) -> Object:
    document: Object = orjson.loads(row["document"])
    return document
