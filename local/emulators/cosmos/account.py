"""The account's state on one SQLite file: databases, containers, documents; durable at every answer."""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from local.emulators.cosmos.containers import Container, Database, Json
from local.emulators.cosmos.errors import Refused, missing
from local.emulators.cosmos.rids import container_rid, database_rid
from shared.kernel.clock import utc_now
from shared.sqlite.group_commit import GroupCommit, Work, WriterBusy, WriterFailed

_SCHEMA = """
CREATE TABLE IF NOT EXISTS databases (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, ts INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS containers (
  number INTEGER PRIMARY KEY AUTOINCREMENT, database INTEGER NOT NULL, id TEXT NOT NULL,
  definition TEXT NOT NULL, version INTEGER NOT NULL, ts INTEGER NOT NULL, lsn INTEGER NOT NULL DEFAULT 0,
  UNIQUE (database, id)
);
CREATE TABLE IF NOT EXISTS documents (
  number INTEGER PRIMARY KEY AUTOINCREMENT, container INTEGER NOT NULL, place TEXT NOT NULL, partition TEXT NOT NULL,
  id TEXT NOT NULL, body TEXT NOT NULL, lsn INTEGER NOT NULL, step INTEGER NOT NULL, ts INTEGER NOT NULL,
  expires_at INTEGER, UNIQUE (container, partition, id)
);
CREATE INDEX IF NOT EXISTS documents_by_place ON documents (container, place, number);
CREATE INDEX IF NOT EXISTS documents_by_change ON documents (container, lsn, step);
CREATE INDEX IF NOT EXISTS documents_expiring ON documents (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS unique_values (
  container INTEGER NOT NULL, partition TEXT NOT NULL, value TEXT NOT NULL, document INTEGER NOT NULL,
  PRIMARY KEY (container, partition, value)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unique_values_by_document ON unique_values (document);
"""
_PURGED_AT_ONCE = 500


class Account:
    """One account, open for this process.

    :param path: the database file
    :param now: the clock of `_ts` and of times to live
    """

    def __init__(self, path: Path, *, now: Callable[[], datetime] = utc_now) -> None:
        self.now = now
        self.commits = GroupCommit(path.resolve(), schema=_SCHEMA)
        self._databases: dict[str, Database] = {}
        self._containers: dict[tuple[str, str], Container] = {}
        self._load()

    def timestamp(self) -> int:
        """Seconds since the epoch, as `_ts` counts them."""
        return int(self.now().timestamp())

    def close(self) -> None:
        """Release the file."""
        self.commits.close()

    def select(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Rows of what is durable."""
        return self.commits.reader.execute(sql, parameters).fetchall()

    async def write[T](self, work: Work[T]) -> T:
        """What `work` returns, once it is durable.

        :raises Refused: 503, the disk did not take it; or whatever `work` raised
        """
        try:
            return await self.commits.run(work)
        except (WriterBusy, WriterFailed) as error:
            raise Refused(503, f"The emulator's database is unavailable: {error}") from error

    def databases(self) -> list[Database]:
        """All databases, oldest first."""
        return sorted(set(self._databases.values()), key=lambda found: found.number)

    def database(self, name: str) -> Database:
        """The database with this id or resource id.

        :raises Refused: 404
        """
        found = self._databases.get(name)
        if found is None:
            raise missing(f"database {name!r}")
        return found

    def containers(self, database: Database) -> list[Container]:
        """The containers of a database, oldest first."""
        found = {container.number: container for container in self._containers.values()}
        return [found[number] for number in sorted(found) if found[number].database.number == database.number]

    def container(self, database: str, name: str) -> Container:
        """The container with this id or resource id.

        :raises Refused: 404
        """
        owner = self.database(database)
        found = self._containers.get((owner.id, name))
        if found is None:
            raise Refused(404, f"Owner resource does not exist: container {name!r}.", substatus=1003)
        return found

    async def create_database(self, name: str) -> Database:
        """Make a database.

        :raises Refused: 409, there is one of that id
        """
        if name in self._databases:
            raise Refused(409, f"Database {name!r} already exists.")
        ts = self.timestamp()
        number = await self.write(
            lambda writer: writer.execute("INSERT INTO databases (id, ts) VALUES (?, ?)", (name, ts)).lastrowid
        )
        assert number is not None
        return self._keep_database(number, name, ts)

    async def delete_database(self, database: Database) -> None:
        """Remove a database with all there is in it."""
        for container in self.containers(database):
            await self.delete_container(container)
        await self.write(lambda writer: writer.execute("DELETE FROM databases WHERE number = ?", (database.number,)))
        del self._databases[database.id], self._databases[database.rid]

    async def create_container(self, database: Database, definition: Json) -> Container:
        """Make a container of a checked definition.

        :raises Refused: 409, there is one of that id
        """
        name = definition["id"]
        if (database.id, name) in self._containers:
            raise Refused(409, f"Container {name!r} already exists.")
        row = (database.number, name, orjson.dumps(definition).decode(), 1, self.timestamp())
        number = await self.write(
            lambda writer: (
                writer.execute(
                    "INSERT INTO containers (database, id, definition, version, ts) VALUES (?, ?, ?, ?, ?)", row
                ).lastrowid
            )
        )
        assert number is not None
        return self._keep_container(number, database, definition, 1, row[-1])

    async def replace_container(self, container: Container, definition: Json) -> Container:
        """Give a container another definition."""
        text, ts = orjson.dumps(definition).decode(), self.timestamp()

        def work(writer: sqlite3.Connection) -> int:
            row = writer.execute(
                "UPDATE containers SET definition = ?, ts = ?, version = version + 1 WHERE number = ? "
                "RETURNING version",
                (text, ts, container.number),
            ).fetchone()
            return int(row[0])

        version = await self.write(work)
        return self._keep_container(container.number, container.database, definition, version, ts)

    async def delete_container(self, container: Container) -> None:
        """Remove a container and its documents."""

        def work(writer: sqlite3.Connection) -> None:
            for table, column in (("unique_values", "container"), ("documents", "container"), ("containers", "number")):
                writer.execute(f"DELETE FROM {table} WHERE {column} = ?", (container.number,))  # noqa: S608 - our names

        await self.write(work)
        for name in (container.id, container.rid):
            self._containers.pop((container.database.id, name), None)

    async def purge_expired(self) -> int:
        """Delete some of the documents whose time to live is over; how many there were."""
        now = self.timestamp()
        if not self.select("SELECT 1 FROM documents WHERE expires_at <= ? LIMIT 1", (now,)):
            return 0

        def work(writer: sqlite3.Connection) -> int:
            found = "SELECT number FROM documents WHERE expires_at <= ? LIMIT ?"
            over = writer.execute(found, (now, _PURGED_AT_ONCE)).fetchall()
            writer.executemany("DELETE FROM unique_values WHERE document = ?", over)
            writer.executemany("DELETE FROM documents WHERE number = ?", over)
            return len(over)

        return await self.write(work)

    def _load(self) -> None:
        for number, name, ts in self.select("SELECT number, id, ts FROM databases", ()):
            self._keep_database(number, name, ts)
        owners = {database.number: database for database in self._databases.values()}
        found = self.select("SELECT number, database, definition, version, ts FROM containers", ())
        for number, owner, definition, version, ts in found:
            self._keep_container(number, owners[owner], orjson.loads(definition), version, ts)

    def _keep_database(self, number: int, name: str, ts: int) -> Database:
        rid = database_rid(number)
        database = Database(number, name, rid, f'"{number:08x}-0000-0000-0000-{ts:012x}"', ts)
        self._databases[name] = self._databases[rid] = database
        return database

    def _keep_container(self, number: int, database: Database, definition: Json, version: int, ts: int) -> Container:
        rid = container_rid(database.number, number)
        etag = f'"{number:08x}-{version:04x}-0000-0000-{ts:012x}"'
        container = Container(number, database, rid, definition, etag, ts)
        self._containers[database.id, container.id] = self._containers[database.id, rid] = container
        return container
