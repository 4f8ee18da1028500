"""The store on one SQLite file: durable at every acknowledgement, shared by any number of processes on one machine.

Every change takes the next number of one sequence; the number is the document's etag and its place in the change feed.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import orjson

from shared.kernel.clock import utc_now
from shared.sqlite.turnstile import Turn
from shared.store.conditions import (
    check_grouping,
    check_query,
    check_where,
    order_sql,
    string_sql,
    value_sql,
    where_sql,
)
from shared.store.continuation import Continuations, query_text
from shared.store.documents import body_of, check_size, check_writes
from shared.store.embedded_feed import EmbeddedFeed
from shared.store.embedded_indexes import container_sql, lookup_hint
from shared.store.embedded_writes import apply
from shared.store.port import (
    GROUPS_MAX,
    Count,
    Create,
    Document,
    Everywhere,
    Json,
    NotFound,
    OrderBy,
    Page,
    Replace,
    Where,
    Write,
)
from shared.telemetry import charge
from shared.topology import Topology

_READ = (
    "SELECT body, seq FROM documents WHERE container = ? AND partition = ? AND id = ? "
    "AND (expires_at IS NULL OR expires_at > ?)"
)
_PURGE = (
    "DELETE FROM documents WHERE (container, partition, id) IN "
    "(SELECT container, partition, id FROM documents WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)"
)


class EmbeddedStore(EmbeddedFeed):
    """A `Store` and `ChangeFeed` on one SQLite file; `at` gives the process its one instance per file."""

    _instances: ClassVar[dict[Path, "EmbeddedStore"]] = {}

    def __init__(
        self,
        path: Path,
        topology: Topology,
        signing_secret: bytes,
        *,
        now: Callable[[], datetime] = utc_now,
        turn: Turn | None = None,
    ) -> None:
        """Open the file, creating it if need be.

        :param topology: which containers there are
        :param signing_secret: signs continuation tokens
        :param now: the clock that decides what has expired
        :param turn: who may write among processes; default: a fair turnstile beside the file
        """
        super().__init__(path, topology, now=now, turn=turn)
        self._continuations = Continuations(signing_secret)

    @classmethod
    def at(cls, path: Path, topology: Topology, signing_secret: bytes) -> "EmbeddedStore":
        """The process's one store on `path`, so that functions and host share one writer and its wake-ups."""
        resolved = path.resolve()
        found = cls._instances.get(resolved)
        if found is None or found.commits.closed:
            found = cls._instances[resolved] = cls(resolved, topology, signing_secret)
        return found

    async def read(self, container: str, partition: str, id: str) -> Document:  # noqa: A002 - the field's own word
        """The document, at its latest committed version.

        :raises NotFound: there is none
        :raises Unavailable: the database failed
        """
        self._partition_key(container)
        charge(container, "read")
        await asyncio.sleep(0)  # as on a network, others run between a read and the write that follows it
        rows = self._select(_READ, (container, partition, id, self._timestamp()))
        if not rows:
            raise NotFound(f"No {id!r} in {container}/{partition}.")
        body, seq = rows[0]
        return Document(id, partition, orjson.loads(body), str(seq))

    async def commit(self, container: str, partition: str, writes: Sequence[Write]) -> Sequence[str]:
        """All of `writes`, durably (after an fsync shared with other commits), or none of them.

        :raises CommitRefused: a write refused
        :raises Busy: other processes kept the database; nothing happened
        :raises Unavailable: the disk failed; it may have happened
        :raises ValueError: a write Cosmos could never accept
        """
        key = self._partition_key(container)
        check_writes(writes, partition_key=key, partition=partition)
        bodies = [
            body_of(write.value, partition_key=key, partition=partition) if isinstance(write, Create | Replace) else ""
            for write in writes
        ]
        check_size(bodies)
        charge(container, "write")
        now = self._timestamp()
        return await self._write(lambda writer: apply(writer, container, partition, writes, bodies, now))

    async def query(
        self,
        container: str,
        partition: str | Everywhere,
        *,
        where: Sequence[Where] = (),
        order_by: OrderBy | None = None,
        limit: int = 50,
        continuation: str | None = None,
    ) -> Page:
        """A page of the documents for which every condition holds.

        Ties of `order_by` are broken by id in the same direction, so that one composite index serves it on Cosmos.

        :raises ValueError: `EVERYWHERE` with `order_by`, an unknown container, operator or impossible limit
        :raises ContinuationRefused: the token is not one we signed for this very query
        """
        self._partition_key(container)
        check_query(partition, where=where, order_by=order_by, limit=limit)
        asked = query_text(container, partition, where, order_by)
        after = [] if continuation is None else self._continuations.open(asked, continuation)
        charge(container, "query")
        hint = lookup_hint(self._topology, container, where) if isinstance(partition, Everywhere) else ""
        sql = _query_sql(
            container, hint, isinstance(partition, str), tuple(map(where_sql, where)), order_by, bool(after)
        )
        place = () if isinstance(partition, Everywhere) else (partition,)
        values = tuple(condition.value for condition in where)
        parameters = (*place, self._timestamp(), *values, *after, limit + 1)
        if len(where) > 1 and place:  # they may leave out nearly all there is, and all is looked through
            rows = await self._scan(sql, parameters)
        else:
            await asyncio.sleep(0)
            rows = self._select(sql, parameters)
        documents = [Document(row[0], row[1], orjson.loads(row[2]), str(row[3])) for row in rows[:limit]]
        more = len(rows) > limit
        return Page(documents, self._continuations.sign(asked, _keyset(rows[limit - 1], place)) if more else None)

    async def counts_by(
        self, container: str, partition: str, *, by: Sequence[str], where: Sequence[Where] = ()
    ) -> Sequence[Count]:
        """How many documents of one partition have each combination of values, the largest number first.

        :raises ValueError: an unknown container, no properties or too many, or an unknown operator
        """
        self._partition_key(container)
        check_where(where)
        check_grouping(by)
        charge(container, "query")
        sql = _counts_sql(container, tuple(by), tuple(map(where_sql, where)))
        values = (condition.value for condition in where)
        rows = await self._scan(sql, (partition, self._timestamp(), *values, GROUPS_MAX))
        return [Count(tuple(row[:-1]), row[-1]) for row in rows]

    async def purge_expired(self, limit: int) -> int:
        """Remove up to `limit` documents whose time to live is over; returns how many there were."""
        now = self._timestamp()
        if not self._select("SELECT 1 FROM documents WHERE expires_at <= ? LIMIT 1", (now,)):
            return 0
        return await self._write(lambda writer: writer.execute(_PURGE, (now, limit)).rowcount)


@lru_cache(maxsize=256)
def _query_sql(
    container: str,
    hint: str,
    one_partition: bool,
    conditions: tuple[str, ...],
    order_by: OrderBy | None,
    continued: bool,
) -> str:
    columns, order, direction, comparison = "id, partition, body, seq", "id", "", ">"
    if not one_partition:
        order = "partition, id"
    elif order_by is not None:
        rank, value = order_sql(order_by)
        columns += f", {rank} AS sort_rank, {value} AS sort_value"
        order = "sort_rank, sort_value, id"
        if order_by.descending:
            direction, comparison = " DESC", "<"
    here = container_sql(container)
    terms = [here, "partition = ?"] if one_partition else [here]
    terms += ["(expires_at IS NULL OR expires_at > ?)", *conditions]
    if continued:
        terms.append(f"({order}) {comparison} ({', '.join('?' * len(order.split(', ')))})")
    ordering = ", ".join(f"{column}{direction}" for column in order.split(", "))
    # Every piece is our own text or a checked property name; values are parameters.
    return f"SELECT {columns} FROM documents {hint} WHERE {' AND '.join(terms)} ORDER BY {ordering} LIMIT ?"  # noqa: S608


@lru_cache(maxsize=256)
def _counts_sql(container: str, by: tuple[str, ...], conditions: tuple[str, ...]) -> str:
    columns = ", ".join(map(value_sql, by))
    places = ", ".join(str(number + 1) for number in range(len(by)))
    terms = [
        container_sql(container),
        "partition = ?",
        "(expires_at IS NULL OR expires_at > ?)",
        *map(string_sql, by),
        *conditions,
    ]
    # Every piece is our own text or a checked property name; values are parameters.
    return (
        f"SELECT {columns}, count(*) AS number FROM documents WHERE {' AND '.join(terms)} "  # noqa: S608
        f"GROUP BY {places} ORDER BY number DESC, {places} LIMIT ?"
    )


def _keyset(row: tuple[Json, ...], place: tuple[str, ...]) -> list[Json]:
    """Where the page ended, in the columns it is ordered by."""
    id_, partition, _, _, *sort = row
    if sort:
        return [*sort, id_]
    return [id_] if place else [partition, id_]
