"""Writes of one logical partition inside one transaction: all of them become visible together, or none does."""

import sqlite3
from dataclasses import dataclass

import orjson

from local.emulators.cosmos import charges
from local.emulators.cosmos.containers import Container, Json, Key, key_in, value_at
from local.emulators.cosmos.documents import COLUMNS, Stored, checked, dumped, expiry
from local.emulators.cosmos.errors import Refused, missing, unsupported
from local.emulators.cosmos.indexes import indexed_values
from local.emulators.cosmos.patches import Patch, patched
from local.emulators.cosmos.sql_values import is_true

_FIND = (
    f"SELECT {COLUMNS} FROM documents WHERE container = ? AND partition = ? AND id = ? "  # noqa: S608 - our names
    "AND (expires_at IS NULL OR expires_at > ?)"
)
_BURY = "SELECT number FROM documents WHERE container = ? AND partition = ? AND id = ?"
_INSERT = (
    "INSERT INTO documents (container, place, partition, id, body, lsn, step, ts, expires_at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_UPDATE = "UPDATE documents SET body = ?, lsn = ?, step = ?, ts = ?, expires_at = ? WHERE number = ?"
_CLAIM = "INSERT INTO unique_values (container, partition, value, document) VALUES (?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one operation.

    :param stored: the document as it is now; None where there is none
    :param before: the version it replaced, for doubles that answer stale reads
    """

    status: int
    charge: float
    stored: Stored | None = None
    before: Stored | None = None

    @property
    def id(self) -> str:
        """The document's."""
        found = self.stored or self.before
        assert found is not None
        return found.id

    @property
    def wrote(self) -> bool:
        """Whether the document is another one now, or gone."""
        return self.stored is None or self.before is not None or self.status == 201


def find(connection: sqlite3.Connection, container: Container, key: Key, id_: str, now: int) -> Stored | None:
    """The living document of that id."""
    row = connection.execute(_FIND, (container.number, key.text, id_, now)).fetchone()
    return None if row is None else Stored(*row)


def check_etag(stored: Stored, if_match: str | None) -> None:
    """Accept a write that names the version it replaces, or none.

    :raises Refused: 412, the document has another etag
    """
    if if_match is not None and if_match not in {stored.etag, "*"}:
        raise Refused(412, "Operation cannot be performed because one of the specified precondition is not met.")


class Transaction:
    """The operations of one request on one logical partition.

    :param now: seconds since the epoch
    """

    def __init__(self, writer: sqlite3.Connection, container: Container, key: Key, now: int) -> None:
        self._writer = writer
        self._container = container
        self._key = key
        self._now = now
        self._lsn = 0
        self._step = 0

    def read(self, id_: str, *, if_none_match: str | None = None) -> Outcome:
        """The document, or 304 if it has that etag.

        :raises Refused: 404
        """
        stored = self._existing(id_)
        if if_none_match == stored.etag:
            return Outcome(304, charges.point_read(0), stored)
        return Outcome(200, charges.point_read(stored.size), stored)

    def create(self, body: Json) -> Outcome:
        """A new document.

        :raises Refused: 409, its id or one of its unique keys is taken; 400, it belongs to another partition
        """
        self._check_partition(body)
        if self._find(body["id"]) is not None:
            raise Refused(409, "Entity with the specified id already exists in the system.")
        return self._insert(body)

    def upsert(self, body: Json, *, if_match: str | None = None) -> Outcome:
        """The document under its id, whether there was one or not.

        :raises Refused: 412, another etag
        """
        self._check_partition(body)
        found = self._find(body["id"])
        if found is None:
            if if_match is not None:
                raise unsupported("an upsert with If-Match of a document that does not exist")
            return self._insert(body)
        check_etag(found, if_match)
        return self._overwrite(found, body, charges.replace)

    def replace(self, id_: str, body: Json, *, if_match: str | None = None) -> Outcome:
        """Another content for the document.

        :raises Refused: 404; 412, another etag; 400, it belongs elsewhere
        """
        if body["id"] != id_:
            raise Refused(400, "The id in the document differs from the one in the address.")
        self._check_partition(body)
        found = self._existing(id_)
        check_etag(found, if_match)
        return self._overwrite(found, body, charges.replace)

    def patch(self, id_: str, patch: Patch, *, if_match: str | None = None) -> Outcome:
        """The document with a patch's operations, if its condition holds.

        :raises Refused: 404; 412, another etag or the condition does not hold; 400, an operation cannot be done
        """
        found = self._existing(id_)
        check_etag(found, if_match)
        body: Json = orjson.loads(found.body)
        if patch.condition is not None and not is_true(patch.condition(body)):
            raise Refused(412, "One of the specified pre-condition is not met: the patch's condition does not hold.")
        changed = checked(patched(body, patch, self._container))
        return self._overwrite(found, changed, charges.patch)

    def delete(self, id_: str, *, if_match: str | None = None) -> Outcome:
        """No document any more.

        :raises Refused: 404; 412, another etag
        """
        found = self._existing(id_)
        check_etag(found, if_match)
        self._remove(found.number)
        return Outcome(204, charges.delete(found.size), before=found)

    def _find(self, id_: str) -> Stored | None:
        return find(self._writer, self._container, self._key, id_, self._now)

    def _existing(self, id_: str) -> Stored:
        found = self._find(id_)
        if found is None:
            raise missing(f"document {id_!r}")
        return found

    def _check_partition(self, body: Json) -> None:
        if key_in(self._container, body) != self._key:
            raise Refused(
                400,
                "PartitionKey extracted from document doesn't match the one specified in the header.",
                substatus=1001,
            )

    def _version(self) -> tuple[int, int]:
        """The transaction's number, the same for all it writes, and a step of its own for each write."""
        if not self._lsn:
            sql = "UPDATE containers SET lsn = lsn + 1 WHERE number = ? RETURNING lsn"
            row = self._writer.execute(sql, (self._container.number,)).fetchone()
            if row is None:
                raise missing(f"container {self._container.id!r}")
            self._lsn = int(row[0])
        self._step += 1
        return self._lsn, self._step

    def _insert(self, body: Json) -> Outcome:
        key, container = self._key, self._container
        for (number,) in self._writer.execute(_BURY, (container.number, key.text, body["id"])).fetchall():
            self._remove(number)  # it expired, and the purge has not come yet
        text, (lsn, step), over = dumped(body), self._version(), expiry(container, body, self._now)
        row = (container.number, key.place, key.text, body["id"], text, lsn, step, self._now, over)
        number = self._writer.execute(_INSERT, row).lastrowid
        assert number is not None
        self._claim(number, body)
        stored = Stored(number, body["id"], key.text, text, lsn, step, self._now, over, key.place)
        return Outcome(201, charges.insert(indexed_values(self._container, body), stored.size), stored)

    def _overwrite(self, found: Stored, body: Json, charge: charges.WriteCharge) -> Outcome:
        text, (lsn, step), over = dumped(body), self._version(), expiry(self._container, body, self._now)
        self._writer.execute(_UPDATE, (text, lsn, step, self._now, over, found.number))
        if self._container.unique_keys:
            self._writer.execute("DELETE FROM unique_values WHERE document = ?", (found.number,))
            self._claim(found.number, body)
        stored = Stored(found.number, found.id, found.partition, text, lsn, step, self._now, over, found.place)
        return Outcome(200, charge(indexed_values(self._container, body), stored.size), stored, found)

    def _remove(self, number: int) -> None:
        if self._container.unique_keys:
            self._writer.execute("DELETE FROM unique_values WHERE document = ?", (number,))
        self._writer.execute("DELETE FROM documents WHERE number = ?", (number,))

    def _claim(self, number: int, body: Json) -> None:
        """Take the document's unique keys; a missing value counts as null.

        https://learn.microsoft.com/azure/cosmos-db/unique-keys
        """
        for place, paths in enumerate(self._container.unique_keys):
            value = orjson.dumps([place, *(value_at(body, path, None) for path in paths)]).decode()
            self._clear_expired(value)
            try:
                self._writer.execute(_CLAIM, (self._container.number, self._key.text, value, number))
            except sqlite3.IntegrityError:
                raise Refused(409, "Unique index constraint violation.") from None

    def _clear_expired(self, value: str) -> None:
        sql = (
            "SELECT document FROM unique_values JOIN documents ON documents.number = document "
            "WHERE unique_values.container = ? AND unique_values.partition = ? AND value = ? AND expires_at <= ?"
        )
        wanted = (self._container.number, self._key.text, value, self._now)
        for (number,) in self._writer.execute(sql, wanted).fetchall():
            self._remove(number)
