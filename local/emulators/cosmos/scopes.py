"""What a query or a feed looks at: one logical partition, a range of keys, or range after range."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local.emulators.cosmos.account import Account
from local.emulators.cosmos.containers import RANGES, Container, Key, Range, key_of, parse_header
from local.emulators.cosmos.documents import COLUMNS, Stored
from local.emulators.cosmos.errors import Refused
from local.emulators.cosmos.hashing import MAXIMUM, MINIMUM

_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Scope:
    """Part of a container.

    :param key: the one logical partition, or None for all between `low` and below `high`
    """

    container: Container
    key: Key | None
    low: str
    high: str

    def sql(self) -> tuple[str, tuple[Any, ...]]:
        """The condition that picks its documents, and its parameters."""
        if self.key is not None:
            return "container = ? AND place = ? AND partition = ?", (
                self.container.number,
                self.key.place,
                self.key.text,
            )
        return "container = ? AND place >= ? AND place < ?", (self.container.number, self.low, self.high)


def scope_of(container: Container, headers: Mapping[str, str]) -> Scope | None:
    """The part a request names by its headers; None if it names none.

    :raises Refused: 400, a header cannot be read; 410, there is no such range
    """
    partition = headers.get("x-ms-documentdb-partitionkey")
    if partition is not None:
        components = parse_header(container, partition)
        if len(components) < len(container.paths):
            prefix = key_of(container, components).place
            return Scope(container, None, prefix, prefix + MAXIMUM)
        return Scope(container, key_of(container, components), MINIMUM, MAXIMUM)
    low, high = headers.get("x-ms-start-epk"), headers.get("x-ms-end-epk")
    named = headers.get("x-ms-documentdb-partitionkeyrangeid")
    if named is not None:
        found = range_of(named)
        return Scope(container, None, max(low or MINIMUM, found.low), min(high or MAXIMUM, found.high))
    if low is not None and high is not None:
        return Scope(container, None, low, high)
    return None


def range_of(name: str) -> Range:
    """The physical partition of that id, which the SDKs may write as `{container},{id}`.

    :raises Refused: 410 with substatus 1002, there is none (any more)
    """
    wanted = name.rpartition(",")[2]
    found = next((part for part in RANGES if part.id == wanted), None)
    if found is None:
        raise Refused(410, f"The requested partition key range {name} is gone.", substatus=1002)
    return found


def documents_in(
    account: Account, scope: Scope, *, after: tuple[str, int], mentioning: tuple[str, ...] = ()
) -> Iterator[Stored]:
    """The living documents, by place and age.

    :param after: place and number of the last one seen
    :param mentioning: property names that must occur somewhere, to leave out most of what cannot match unread
    """
    where, parameters = scope.sql()
    hints = " AND instr(body, ?) > 0" * len(mentioning)
    sql = (
        f"SELECT {COLUMNS} FROM documents WHERE {where} AND (place, number) > (?, ?) "  # noqa: S608 - our own text
        f"AND (expires_at IS NULL OR expires_at > ?){hints} ORDER BY place, number LIMIT {_AT_ONCE}"
    )
    now = account.timestamp()
    while True:
        rows = account.select(sql, (*parameters, *after, now, *mentioning))
        for row in rows:
            yield Stored(*row)
        if len(rows) < _AT_ONCE:
            return
        last = Stored(*rows[-1])
        after = (last.place, last.number)
