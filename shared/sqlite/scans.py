"""Reads that look through many rows, off the event loop: one at a time, in a thread and on a connection of their own.

SQLite lets go of the interpreter while it looks, so other requests are answered meanwhile.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

WAITING_MAX: Final = 64  # beyond this the answer is that we are busy, not a queue nobody waits out

type Row = tuple[Any, ...]


class ScansBusy(Exception):
    """As many reads wait as may."""


class Scans:
    """Looks through a database file; opens it with the first read.

    :param path: a file that has its tables already
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"scan-{path.name}")
        self._connection: sqlite3.Connection | None = None
        self._waiting = 0

    async def select(self, sql: str, parameters: Sequence[Any]) -> list[Row]:
        """All rows of a query, as of the last commit before it began.

        :raises ScansBusy: `WAITING_MAX` others wait
        :raises sqlite3.Error: the database cannot be read
        """
        if self._waiting >= WAITING_MAX:
            raise ScansBusy(f"{self._waiting} searches wait already.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._rows, sql, parameters)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Finish the read at work, and release the file."""
        self._thread.shutdown(cancel_futures=True)
        if self._connection is not None:
            self._connection.close()

    def _rows(self, sql: str, parameters: Sequence[Any]) -> list[Row]:
        if self._connection is None:
            self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA query_only = ON")
            self._connection.execute("PRAGMA cache_size = -32768")
        return self._connection.execute(sql, parameters).fetchall()
