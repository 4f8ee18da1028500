"""The SQLite file under the embedded store: its tables, and reading, writing and waiting in the port's own errors."""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from shared.sqlite.group_commit import GroupCommit, Work, WriterBusy, WriterFailed
from shared.sqlite.scans import Scans, ScansBusy
from shared.sqlite.turnstile import Turn
from shared.sqlite.watch import Watch
from shared.store.embedded_indexes import index_schema
from shared.store.port import Busy, Json, Unavailable
from shared.topology import Topology

RETRY_AFTER_SECONDS = 0.1
# A table with row ids: bodies are long, and in a table clustered by its key each would go to a page of its own.
SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
  container TEXT NOT NULL, partition TEXT NOT NULL, id TEXT NOT NULL,
  body TEXT NOT NULL, seq INTEGER NOT NULL, created_at REAL NOT NULL, changed_at REAL NOT NULL,
  ttl_seconds INTEGER, expires_at REAL,
  PRIMARY KEY (container, partition, id)
);
CREATE UNIQUE INDEX IF NOT EXISTS documents_feed ON documents (container, seq);
CREATE INDEX IF NOT EXISTS documents_expiring ON documents (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS leases (
  container TEXT NOT NULL, lease TEXT NOT NULL, owner TEXT NOT NULL, held_until REAL NOT NULL,
  position INTEGER NOT NULL, PRIMARY KEY (container, lease)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sequence (one INTEGER PRIMARY KEY CHECK (one = 1), value INTEGER NOT NULL);
INSERT OR IGNORE INTO sequence VALUES (1, 0);
"""


class EmbeddedFile:
    """One SQLite file with the store's tables, open for this process."""

    def __init__(
        self, path: Path, topology: Topology, *, now: Callable[[], datetime], turn: Turn | None = None
    ) -> None:
        self._keys = {container.name: container.partition_key for container in topology.containers}
        self._topology = topology
        self._now = now
        self._seen = 0
        self._watch = Watch(self._has_news)
        self.commits = GroupCommit(
            path.resolve(), schema=SCHEMA + index_schema(topology), turn=turn, on_commit=self._watch.look
        )
        self._reader = self.commits.reader
        self._scans = Scans(path.resolve())
        self._has_news()

    async def wait(self, timeout_seconds: float) -> None:
        """Return when this process has committed a change, or another has, or after the timeout.

        Nothing is missed by a caller that found no changes and waits without awaiting anything in between.
        """
        await self._watch.wait(timeout_seconds)

    def close(self) -> None:
        """Release the file; a later `EmbeddedStore.at` opens it again."""
        self._watch.close()
        self._scans.close()
        self.commits.close()

    def _partition_key(self, container: str) -> str:
        try:
            return self._keys[container]
        except KeyError:
            raise ValueError(f"There is no container {container!r}.") from None

    def _timestamp(self) -> float:
        return self._now().timestamp()

    def _select(self, sql: str, parameters: Sequence[Json]) -> list[tuple[Json, ...]]:
        try:
            return self._reader.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise Unavailable(f"The database cannot be read: {error}") from error

    async def _scan(self, sql: str, parameters: Sequence[Json]) -> list[tuple[Json, ...]]:
        """As `_select`, for what looks through many documents: other requests go on meanwhile."""
        try:
            return await self._scans.select(sql, parameters)
        except ScansBusy as error:
            raise Busy(str(error), retry_after_seconds=RETRY_AFTER_SECONDS) from error
        except sqlite3.Error as error:
            raise Unavailable(f"The database cannot be read: {error}") from error

    async def _write[T](self, work: Work[T]) -> T:
        try:
            return await self.commits.run(work)
        except WriterBusy as error:
            raise Busy(str(error), retry_after_seconds=RETRY_AFTER_SECONDS) from error
        except WriterFailed as error:
            raise Unavailable(str(error)) from error

    def _has_news(self) -> bool:
        (value,) = self._reader.execute("SELECT value FROM sequence").fetchone()
        moved = bool(value != self._seen)
        self._seen = value
        return moved
