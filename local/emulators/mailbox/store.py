"""The mails received, each kept before its sender hears that it was."""

import time
from dataclasses import dataclass
from email.header import decode_header, make_header
from email.parser import BytesHeaderParser
from typing import Any

import orjson

from local.emulators.database import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY,
    message_id TEXT,
    sender TEXT NOT NULL,
    recipients TEXT NOT NULL,
    subject TEXT NOT NULL,
    received_at REAL NOT NULL,
    raw BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS messages_by_message_id ON messages (message_id);
CREATE TABLE IF NOT EXISTS recipients (address TEXT NOT NULL, message INTEGER NOT NULL, PRIMARY KEY (address, message))
    WITHOUT ROWID;
"""
_COLUMNS = """m.id, m.message_id, m.sender, m.recipients, m.subject, m.received_at, length(m.raw) AS size,
    CASE WHEN m.message_id IS NULL THEN 1
         ELSE (SELECT count(*) FROM messages AS o WHERE o.message_id = m.message_id) END AS copies"""
_HEADERS = BytesHeaderParser()


@dataclass(frozen=True)
class Wanted:
    """Which messages to list; unset members admit all."""

    to: str | None = None
    subject: str | None = None
    message_id: str | None = None


class Mails:
    """The messages, newest first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, *, sender: str, recipients: list[str], raw: bytes) -> int:
        """Commit a message and answer its number."""
        headers = _HEADERS.parsebytes(raw)
        message_id = (headers.get("Message-ID") or "").strip() or None
        addresses = sorted({address.lower() for address in recipients})
        with self._database.transaction():
            row = self._database.one(
                "INSERT INTO messages (message_id, sender, recipients, subject, received_at, raw) "
                "VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
                message_id,
                sender,
                orjson.dumps(addresses).decode(),
                _decoded(str(headers.get("Subject") or "")),
                time.time(),
                raw,
            )
            assert row is not None
            for address in addresses:
                self._database.change("INSERT INTO recipients VALUES (?, ?)", address, row["id"])
        return int(row["id"])

    def page(self, wanted: Wanted, *, limit: int, before: int | None = None) -> tuple[list[dict[str, Any]], int | None]:
        """Up to `limit` messages older than number `before`, and the number to go on from if there are more."""
        conditions: list[str] = ["1"]
        values: list[Any] = []
        if wanted.to is not None:
            conditions.append("m.id IN (SELECT message FROM recipients WHERE address = ?)")
            values.append(wanted.to.lower())
        if wanted.subject is not None:
            conditions.append("instr(lower(m.subject), ?) > 0")
            values.append(wanted.subject.lower())
        if wanted.message_id is not None:
            conditions.append("m.message_id = ?")
            values.append(wanted.message_id)
        if before is not None:
            conditions.append("m.id < ?")
            values.append(before)
        query = f"SELECT {_COLUMNS} FROM messages AS m WHERE {' AND '.join(conditions)} ORDER BY m.id DESC LIMIT ?"  # noqa: S608 - fixed texts above
        rows = [_summary(row) for row in self._database.all(query, *values, limit + 1)]
        more = len(rows) > limit
        return rows[:limit], rows[limit - 1]["id"] if more else None

    def find(self, number: int) -> tuple[dict[str, Any], bytes] | None:
        """One message: its summary and its bytes as received."""
        row = self._database.one(f"SELECT {_COLUMNS}, m.raw FROM messages AS m WHERE m.id = ?", number)  # noqa: S608 - fixed
        return None if row is None else (_summary(row), row["raw"])

    def copies(self, message_id: str) -> list[int]:
        """The numbers of all messages with this Message-ID, oldest first."""
        rows = self._database.all("SELECT id FROM messages WHERE message_id = ? ORDER BY id", message_id)
        return [row["id"] for row in rows]

    def stats(self) -> dict[str, int]:
        """How many messages came, with how many Message-IDs, and how many of them were repeats."""
        row = self._database.one(
            "SELECT count(*) AS messages, count(DISTINCT message_id) AS named, "
            "count(*) - count(message_id) AS nameless FROM messages"
        )
        assert row is not None
        distinct = row["named"] + row["nameless"]
        return {
            "messages": row["messages"],
            "distinct_message_ids": row["named"],
            "without_message_id": row["nameless"],
            "duplicates": row["messages"] - distinct,
        }

    def forget_all(self) -> int:
        """Delete every message and say how many there were."""
        with self._database.transaction():
            self._database.change("DELETE FROM recipients")
            return self._database.change("DELETE FROM messages")


def _summary(row: Any) -> dict[str, Any]:
    return {
        "id": row["id"],
        "message_id": row["message_id"],
        "from": row["sender"],
        "to": orjson.loads(row["recipients"]),
        "subject": row["subject"],
        "received_at": row["received_at"],
        "size": row["size"],
        "copies": row["copies"],
    }


def _decoded(header: str) -> str:
    try:
        return str(make_header(decode_header(header)))
    except (UnicodeDecodeError, LookupError, ValueError):
        return header  # a header in a charset that does not exist is shown as it came
