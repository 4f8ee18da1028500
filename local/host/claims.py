"""What the host remembers, in `host.db`: which timer occurrences were claimed, and which leases have begun.

One process claims each occurrence, and no two runs of a timer overlap.

On Azure a blob lease makes one instance run all timers; here a row does it per occurrence.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

HOLD_SECONDS = 6.0
_KEPT = timedelta(days=30)
_LOCK_WAIT_SECONDS = 10.0
_PRIVATE = 0o600

_SCHEMA_BEGUN = """
create table if not exists leases_begun (lease text primary key) without rowid
"""
_SCHEMA_RUNS = """
create table if not exists timer_runs (
    timer text not null,
    occurrence text not null,
    owner text not null,
    held_until real not null,
    primary key (timer, occurrence)
) without rowid
"""
_CLAIM = """
insert into timer_runs (timer, occurrence, owner, held_until)
select :timer, :occurrence, :owner, :held_until
where not exists (
    select 1 from timer_runs where timer = :timer and (occurrence >= :occurrence or held_until > :now)
)
"""


class Claims:
    """The file; a connection is opened per call, for timers are rare.

    :param path: `host.db` in the data directory
    """

    def __init__(self, path: Path) -> None:
        path.touch(mode=_PRIVATE)
        self._path = path

    async def claim(self, timer: str, occurrence: datetime, *, owner: str, now: datetime) -> bool:
        """Take an occurrence for `owner`, durably; False when it, or a later one, was taken or one is still running."""

        def take(connection: sqlite3.Connection) -> bool:
            taken = connection.execute(
                _CLAIM,
                {
                    "timer": timer,
                    "occurrence": _text(occurrence),
                    "owner": owner,
                    "held_until": now.timestamp() + HOLD_SECONDS,
                    "now": now.timestamp(),
                },
            ).rowcount
            # The newest row of a timer stays, however old: it is the memory of when it last ran.
            connection.execute(
                "delete from timer_runs where timer = ? and occurrence < ? and occurrence < "
                "(select max(occurrence) from timer_runs where timer = ?)",
                (timer, _text(now - _KEPT), timer),
            )
            return taken == 1

        return await self._do(take)

    async def hold(self, timer: str, occurrence: datetime, *, until: datetime) -> None:
        """Say until when the run holds the timer: ahead of now while it runs, `now` once it is done."""

        def extend(connection: sqlite3.Connection) -> None:
            connection.execute(
                "update timer_runs set held_until = ? where timer = ? and occurrence = ?",
                (until.timestamp(), timer, _text(occurrence)),
            )

        await self._do(extend)

    async def last(self, timer: str) -> datetime | None:
        """The newest occurrence that was claimed."""

        def newest(connection: sqlite3.Connection) -> datetime | None:
            row = connection.execute("select max(occurrence) from timer_runs where timer = ?", (timer,)).fetchone()
            return datetime.fromisoformat(row[0]) if row[0] else None

        return await self._do(newest)

    async def has_begun(self, lease: str) -> bool:
        """Whether `begin` was ever called for the lease."""

        def look(connection: sqlite3.Connection) -> bool:
            return connection.execute("select 1 from leases_begun where lease = ?", (lease,)).fetchone() is not None

        return await self._do(look)

    async def begin(self, lease: str) -> None:
        """Remember that the lease stands where it should start from."""

        def mark(connection: sqlite3.Connection) -> None:
            connection.execute("insert or ignore into leases_begun values (?)", (lease,))

        await self._do(mark)

    async def _do[T](self, work: Callable[[sqlite3.Connection], T]) -> T:
        def inside() -> T:
            with closing(sqlite3.connect(self._path, timeout=_LOCK_WAIT_SECONDS)) as connection:
                connection.execute("pragma synchronous = full")
                with connection:
                    connection.execute("begin immediate")
                    connection.execute(_SCHEMA_BEGUN)
                    connection.execute(_SCHEMA_RUNS)
                    return work(connection)

        return await asyncio.to_thread(inside)


def _text(moment: datetime) -> str:
    """Fixed width, so that text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
