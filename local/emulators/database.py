"""SQLite as an emulator uses it: one process, one connection, one thread, every change a transaction."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PRIVATE_FILE = 0o600
_LOCK_WAIT_SECONDS = 0.5


class DirectoryTaken(Exception):
    """Another emulator already works in the data directory."""


class Claim:
    """The right to work on a file that several processes could open: held by one, freed by the kernel when it dies.

    :param path: the file; the claim is a lock on `{path}.owner` beside it
    :raises DirectoryTaken: another emulator has it
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(f"{path}.owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._file)
            raise DirectoryTaken(f"another emulator is using {path.parent}") from error

    def release(self) -> None:
        """Let another one have it."""
        os.close(self._file)


class Database:
    """An emulator's state in one file, owned by one process.

    Commits are in the write-ahead log before they return (`synchronous=NORMAL`): they outlive `kill -9`, and a power
    failure may take the last moments. That is enough for a double, and costs microseconds instead of an fsync.
    Nothing awaits inside a transaction, so requests of one event loop never interleave within one.
    """

    def __init__(self, path: Path, schema: str) -> None:
        """Open or create the file at `path` and apply `schema`, whose statements can be repeated.

        :raises DirectoryTaken: another process holds the file
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=PRIVATE_FILE)
        self._connection = sqlite3.connect(path, timeout=_LOCK_WAIT_SECONDS, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        try:
            self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.executescript(schema)
        except sqlite3.OperationalError as error:
            self._connection.close()
            if "locked" in str(error):
                raise DirectoryTaken(f"another emulator is using {path.parent}") from error
            raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements inside happen together or, when it raises, not at all."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def change(self, statement: str, *values: Any) -> int:
        """Run one statement and say how many rows it changed."""
        return self._connection.execute(statement, values).rowcount

    def one(self, query: str, *values: Any) -> sqlite3.Row | None:
        """The first row of a query, if any."""
        row: sqlite3.Row | None = self._connection.execute(query, values).fetchone()
        return row

    def all(self, query: str, *values: Any) -> list[sqlite3.Row]:
        """Every row of a query."""
        return self._connection.execute(query, values).fetchall()

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()
