"""What came, newest last; the oldest goes when there is more than `ITEMS_MAX`."""

import time
from collections.abc import Sequence
from typing import Any, Final

import orjson

from local.emulators.database import Database

ITEMS_MAX: Final = 50_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    id INTEGER PRIMARY KEY,
    received_at REAL NOT NULL,
    type TEXT NOT NULL,
    operation TEXT NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS items_by_operation ON items (operation);
"""
# An operation is as new as its latest item; metrics belong to none.
_NEWEST = "SELECT operation FROM items WHERE operation <> '' GROUP BY operation ORDER BY max(id) DESC LIMIT ?"


class Items:
    """The envelopes taken in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, envelopes: Sequence[dict[str, Any]]) -> None:
        """Commit envelopes that are well-formed."""
        with self._database.transaction():
            for envelope in envelopes:
                self._database.change(
                    "INSERT INTO items (received_at, type, operation, body) VALUES (?, ?, ?, ?)",
                    time.time(),
                    envelope["data"]["baseType"],
                    (envelope.get("tags") or {}).get("ai.operation.id", ""),
                    orjson.dumps(envelope),
                )
            self._database.change(
                "DELETE FROM items WHERE id <= (SELECT max(id) FROM items) - ?",
                ITEMS_MAX,
            )

    def page(self, *, operation: str, type_: str, after: int, limit: int) -> list[dict[str, Any]]:
        """Up to `limit` envelopes behind number `after`, oldest first, each with its number.

        :param operation: only of this operation; empty: of any
        :param type_: only of this type, e.g. `RequestData`; empty: of any
        """
        rows = self._database.all(
            "SELECT id, body FROM items WHERE id > ? AND (? = '' OR operation = ?) AND (? = '' OR type = ?) "
            "ORDER BY id LIMIT ?",
            after, operation, operation, type_, type_, limit,
        )  # fmt: skip
        return [{"number": row["id"], **orjson.loads(row["body"])} for row in rows]

    def newest_operations(self, limit: int) -> list[str]:
        """The operations something came of last, newest first."""
        return [row["operation"] for row in self._database.all(_NEWEST, limit)]

    def forget_all(self) -> int:
        """Delete everything and say how much there was."""
        return self._database.change("DELETE FROM items")
