"""What came, newest last; the oldest goes when there is more than `ITEMS_MAX`."""

import time
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

import orjson

from local.emulators.applicationinsights.traces import SHOWN, is_http, moment_of
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
CREATE TABLE IF NOT EXISTS operations (
    id TEXT PRIMARY KEY,
    began REAL NOT NULL,
    of_request INTEGER NOT NULL,
    of_business INTEGER NOT NULL,
    newest_item INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS operations_by_moment ON operations (began, id);
CREATE INDEX IF NOT EXISTS operations_by_item ON operations (newest_item);
"""
_KEEP = "INSERT INTO items (received_at, type, operation, body) VALUES (?, ?, ?, ?) RETURNING id"
# What ends first is sent first, so an operation's beginning may come after its end.
_TELL = """
INSERT INTO operations VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET began = min(began, excluded.began),
  of_request = max(of_request, excluded.of_request), of_business = max(of_business, excluded.of_business),
  newest_item = excluded.newest_item
"""
_LATEST = """
SELECT id FROM operations WHERE (? = 'all' OR (? = 'requests' AND of_request) OR (? = 'business' AND of_business))
  AND (? = '' OR (began, id) < (SELECT began, id FROM operations WHERE id = ?)) ORDER BY began DESC, id DESC LIMIT ?
"""


class Show(StrEnum):
    """Which operations are listed: those with an HTTP request, those that told a business event, or all."""

    REQUESTS = "requests"
    BUSINESS = "business"
    ALL = "all"


class Items:
    """The envelopes taken in."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, envelopes: Sequence[dict[str, Any]]) -> None:
        """Commit envelopes that are well-formed."""
        with self._database.transaction():
            for envelope in envelopes:
                self._keep(envelope, envelope["data"]["baseType"])
            newest = self._database.one("SELECT max(id) AS number FROM items")
            assert newest is not None
            gone = (newest["number"] or 0) - ITEMS_MAX
            self._database.change("DELETE FROM items WHERE id <= ?", gone)
            self._database.change("DELETE FROM operations WHERE newest_item <= ?", gone)

    def _keep(self, envelope: dict[str, Any], type_: str) -> None:
        operation = (envelope.get("tags") or {}).get("ai.operation.id", "")
        kept = self._database.one(_KEEP, time.time(), type_, operation, orjson.dumps(envelope))
        assert kept is not None
        if operation and type_ in SHOWN:
            began, business = moment_of(envelope).timestamp(), type_ == "EventData"
            self._database.change(_TELL, operation, began, is_http(envelope), business, kept["id"])

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

    def latest_operations(self, show: Show, *, before: str, limit: int) -> list[str]:
        """The operations that began last, latest first.

        :param before: only what began before this operation; empty: from the latest on
        """
        return [row["id"] for row in self._database.all(_LATEST, show, show, show, before, before, limit)]

    def forget_all(self) -> int:
        """Delete everything and say how many items there were."""
        with self._database.transaction():
            self._database.change("DELETE FROM operations")
            return self._database.change("DELETE FROM items")
