"""One SQLite writer with group commit: many small commits share one fsync.

Statements run on the event-loop thread, because handing each to a thread and back costs more than running it (both
threads fight for the interpreter lock); only what blocks, waiting for another process's turn and `COMMIT` (an fsync),
runs in the writer's own thread. While one group is being made durable the next one gathers.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future as ThreadFuture
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for_thread
from pathlib import Path
from typing import Any

from shared.sqlite.turnstile import Turn, Turnstile

GROUP_MAX = 64  # work items in one transaction: bounds how long the event loop is held by statements
TURN_SECONDS_MAX = 10.0  # how long a group waits for other processes before it is told `WriterBusy`
_PRIVATE = 0o600
_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA cache_size = -32768",
    "PRAGMA temp_store = MEMORY",
)

type Work[T] = Callable[[sqlite3.Connection], T]


class WriterFailed(Exception):
    """The disk or the database failed; the work may or may not have become durable."""


class WriterBusy(Exception):
    """Other processes kept the turn for too long; nothing happened."""


class _Item:
    __slots__ = ("answer", "error", "future", "work")

    def __init__(self, work: Work[Any], future: asyncio.Future[Any]) -> None:
        self.work = work
        self.future = future
        self.answer: Any = None
        self.error: Exception | None = None

    def deliver(self, error: Exception | None = None) -> None:
        if self.future.done():  # its awaiter was cancelled meanwhile
            return
        if error is not None or self.error is not None:
            self.future.set_exception(error or self.error or WriterFailed())
        else:
            self.future.set_result(self.answer)


class GroupCommit:
    """The writer of one database file, and a second connection for reads of what is durable.

    Serves one event loop at a time; a new loop may take over when the former has stopped.

    :param path: the database file, created if missing
    :param schema: SQL that creates what is missing, run once
    :param turn: who may write among processes; default: a `Turnstile` beside the file
    :param turn_seconds_max: how long a group waits for other processes
    :param on_commit: called on the loop after every group that changed anything
    """

    def __init__(
        self,
        path: Path,
        *,
        schema: str,
        turn: Turn | None = None,
        turn_seconds_max: float = TURN_SECONDS_MAX,
        on_commit: Callable[[], None] = lambda: None,
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._turn = turn or Turnstile(path)
        self._turn.enter()  # two processes that start together must not both create the schema
        try:
            # People's data is its owner's to read; SQLite gives the log and the index beside it the same mode.
            path.touch(mode=_PRIVATE)
            self._writer = _connect(path)
            for pragma in _PRAGMAS:
                self._writer.execute(pragma).fetchall()
            self._writer.executescript(schema)
            self._writer.execute("PRAGMA busy_timeout = 0")  # the event loop must not wait in BEGIN
            self.reader = _connect(path)
            self.reader.execute("PRAGMA query_only = ON")
            self.reader.execute("PRAGMA cache_size = -32768")
        finally:
            self._turn.leave()
        self._on_commit = on_commit
        self._turn_seconds_max = turn_seconds_max
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"commit-{path.name}")
        self._queue: deque[_Item] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._driver: asyncio.Task[None] | None = None
        self._in_thread: ThreadFuture[None] | None = None
        self._giving_up = False
        self.groups_committed = 0
        self.closed = False

    async def run[T](self, work: Work[T]) -> T:
        """What `work` returns, once everything it did is durable.

        If `work` raises, what it did is undone and the exception is raised here; others in the group are not affected.

        :param work: statements only, on the connection it is given; no awaiting, no transaction control
        :raises WriterBusy: other processes kept the turn; nothing happened
        :raises WriterFailed: the disk failed; it may have happened
        """
        if self.closed:
            raise WriterFailed("The database is closed.")
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._adopt(loop)
        future: asyncio.Future[T] = loop.create_future()
        self._queue.append(_Item(work, future))
        if self._driver is None:
            self._driver = loop.create_task(self._drive())
        return await future

    def close(self) -> None:
        """Finish what is being made durable, abandon what has not begun, release every file."""
        if self.closed:
            return
        self.closed = True
        if self._driver is not None and self._loop is not None and not self._loop.is_closed():
            self._driver.cancel()
        self._settle()
        self._abandon(self._queue)
        self._thread.shutdown()
        self.reader.close()
        self._writer.close()
        self._turn.close()

    def _adopt(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None and self._loop.is_running():
            raise RuntimeError("A running event loop already writes through this object.")
        self._settle()
        self._queue.clear()
        self._driver = None
        self._loop = loop

    def _settle(self) -> None:
        """Wait for the thread and leave no transaction or turn behind."""
        if self._in_thread is not None:
            wait_for_thread((self._in_thread,))
            self._in_thread = None
            self._giving_up = False
        self._roll_back()

    async def _drive(self) -> None:
        group: list[_Item] = []
        try:
            while self._queue:
                group = [self._queue.popleft() for _ in range(min(GROUP_MAX, len(self._queue)))]
                await self._commit(group)
        except BaseException:  # cancelled with its loop, or interrupted: nobody may be left waiting
            self._abandon(group)
            self._abandon(self._queue)
            self._settle()
            raise
        finally:
            self._driver = None

    async def _commit(self, group: list[_Item]) -> None:
        """Run the group's work, make it durable, tell everyone; never raises for a group that failed."""
        try:
            await self._begin()
            before = self._writer.total_changes
            self._run(group)
            changed = self._writer.total_changes != before
            if changed:
                await self._call(self._make_durable)
                self.groups_committed += 1
            else:
                self._make_durable()  # nothing was written, so this touches no disk
        except (sqlite3.Error, OSError, WriterFailed, WriterBusy) as error:
            self._fail(group, error)
            return
        for item in group:
            item.deliver()
        if changed:
            self._on_commit()

    async def _begin(self) -> None:
        if self._in_thread is not None:  # an earlier group gave up waiting; its wait has to end before another begins
            await self._wait_for_turn(self._in_thread)
        if not self._turn.try_enter():
            await self._wait_for_turn(self._thread.submit(self._turn.enter))
        try:
            self._writer.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:  # a writer that does not use the turnstile, such as a shell
            await self._call(self._begin_patiently)

    async def _wait_for_turn(self, entering: ThreadFuture[None]) -> None:
        self._in_thread = entering
        try:
            async with asyncio.timeout(self._turn_seconds_max):
                await asyncio.shield(asyncio.wrap_future(entering))
        except TimeoutError:
            if not self._giving_up:  # the turn, should it come after all, must not stay with us unused
                self._in_thread = self._thread.submit(self._turn.leave)
                self._giving_up = True
            raise WriterBusy("Other processes kept the database for too long.") from None
        self._in_thread = None
        self._giving_up = False

    async def _call(self, blocking: Callable[[], None]) -> None:
        self._in_thread = self._thread.submit(blocking)
        await asyncio.shield(asyncio.wrap_future(self._in_thread))
        self._in_thread = None

    def _begin_patiently(self) -> None:
        self._writer.execute(f"PRAGMA busy_timeout = {int(self._turn_seconds_max * 1000)}")
        try:
            self._writer.execute("BEGIN IMMEDIATE")
        finally:
            self._writer.execute("PRAGMA busy_timeout = 0")

    def _run(self, group: list[_Item]) -> None:
        execute = self._writer.execute
        for item in group:
            if item.future.cancelled():
                continue
            execute("SAVEPOINT item")
            try:
                item.answer = item.work(self._writer)
            except Exception as error:  # whatever it is, it belongs to the item's awaiter
                if not self._writer.in_transaction:  # disk full and the like end the whole transaction
                    raise WriterFailed("The database gave the transaction up.") from error
                item.error = error
                execute("ROLLBACK TO item")
            execute("RELEASE item")

    def _make_durable(self) -> None:
        self._writer.execute("COMMIT")
        self._turn.leave()

    def _fail(self, group: list[_Item], error: Exception) -> None:
        for item in group:
            answer = WriterBusy(str(error)) if isinstance(error, WriterBusy) else WriterFailed(str(error))
            answer.__cause__ = error
            item.deliver(answer)
        if self._in_thread is None or self._in_thread.done():
            self._in_thread = None
            self._giving_up = False
            self._roll_back()

    def _roll_back(self) -> None:
        try:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        finally:
            self._turn.leave()

    def _abandon(self, items: "deque[_Item] | list[_Item]") -> None:
        if self._loop is not None and not self._loop.is_closed():
            for item in items:
                item.future.cancel()
        items.clear()


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        path, timeout=TURN_SECONDS_MAX, isolation_level=None, check_same_thread=False, cached_statements=256
    )
