"""The SQLite file under the embedded bus: its tables, and reading, writing and waiting in the port's own errors."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from math import inf
from pathlib import Path
from typing import Any

from shared.bus.port import BusUnavailable
from shared.sqlite.group_commit import GroupCommit, Work, WriterBusy, WriterFailed
from shared.sqlite.turnstile import Turn
from shared.sqlite.watch import Watch
from shared.topology import Topology

SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
  seq INTEGER PRIMARY KEY, queue TEXT NOT NULL, state INTEGER NOT NULL, due_at REAL NOT NULL,
  id TEXT NOT NULL, type TEXT NOT NULL, body BLOB NOT NULL, correlation_id TEXT NOT NULL, scheduled_for REAL,
  properties TEXT NOT NULL, enqueued_at REAL NOT NULL, delivery_count INTEGER NOT NULL DEFAULT 0,
  lock_token TEXT, reason TEXT, description TEXT, ended_at REAL
);
CREATE INDEX IF NOT EXISTS messages_next ON messages (queue, state, due_at);
CREATE TABLE IF NOT EXISTS seen (
  entity TEXT NOT NULL, id TEXT NOT NULL, until REAL NOT NULL, PRIMARY KEY (entity, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_until ON seen (until);
CREATE TABLE IF NOT EXISTS sequence (one INTEGER PRIMARY KEY CHECK (one = 1), value INTEGER NOT NULL);
INSERT OR IGNORE INTO sequence VALUES (1, 0);
"""
_NEXT_DUE = """
SELECT min(due_at) FROM (
  SELECT (SELECT due_at FROM messages WHERE queue = name AND state = kind AND due_at > :after ORDER BY due_at LIMIT 1)
    AS due_at
  FROM (SELECT value AS name FROM json_each(:queues)), (SELECT 1 AS kind UNION ALL SELECT 2)
)
"""


class EmbeddedBusFile:
    """One SQLite file with the bus's tables, open for this process."""

    def __init__(
        self, path: Path, topology: Topology, *, now: Callable[[], datetime], turn: Turn | None = None
    ) -> None:
        self._now = now
        self._queue_names = "[" + ",".join(f'"{queue.name}"' for queue in topology.queues) + "]"
        self._seen_sequence = -1
        self._seen_version = -1
        self._woken_until = -inf
        self._next_due = inf
        self._watch = Watch(self._has_news)
        self.commits = GroupCommit(path.resolve(), schema=SCHEMA, turn=turn, on_commit=self._watch.look)
        self._reader = self.commits.reader

    async def wait(self, timeout_seconds: float) -> None:
        """Return when a message was published or given back, became due, or its lock lapsed, or after the timeout.

        Nothing is missed by a caller that received nothing and waits without awaiting anything in between.
        """
        await self._watch.wait(timeout_seconds)

    def next_due(self) -> datetime | None:
        """When the next scheduled message or lapsing lock will wake those who wait; None when there is neither."""
        self._has_news()
        return None if self._next_due == inf else datetime.fromtimestamp(self._next_due, self._now().tzinfo)

    def close(self) -> None:
        """Release the file; a later `EmbeddedBus.at` opens it again."""
        self._watch.close()
        self.commits.close()

    def _timestamp(self) -> float:
        return self._now().timestamp()

    def _select(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
        try:
            return self._reader.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise BusUnavailable(f"The bus cannot be read: {error}") from error

    async def _write[T](self, work: Work[T]) -> T:
        try:
            return await self.commits.run(work)
        except (WriterBusy, WriterFailed) as error:
            raise BusUnavailable(str(error)) from error

    def _has_news(self) -> bool:
        """Whether a message was published or given back by anyone, or a moment came at which one became due.

        Each due moment counts once, so that a queue nobody receives from does not keep everyone awake.
        """
        news = False
        (version,) = self._reader.execute("PRAGMA data_version").fetchone()
        if version != self._seen_version:  # somebody committed: look what
            self._seen_version = version
            (sequence,) = self._reader.execute("SELECT value FROM sequence").fetchone()
            news = sequence != self._seen_sequence
            self._seen_sequence = sequence
            self._load_next_due()
        now = self._timestamp()
        if self._next_due <= now:
            news = True
            self._woken_until = now
            self._load_next_due()
        return news

    def _load_next_due(self) -> None:
        bounds = {"after": self._woken_until, "queues": self._queue_names}
        (due,) = self._reader.execute(_NEXT_DUE, bounds).fetchone()
        self._next_due = inf if due is None else due
