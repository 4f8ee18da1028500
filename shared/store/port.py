"""What a document store must do for us, in Cosmos DB's language, because Cosmos is where it must be true.

A document lives in one partition of one container; a commit changes one partition, atomically. No write is a blind
upsert: each proves what it read (`Replace`, `Delete` by etag), what it assumes (`Patch` with a condition) or that
nothing was there (`Create`).

    StoreError
    ├── CommitRefused (index of the write that refused; nothing of the commit happened)
    │   ├── AlreadyExists     a Create found its id taken                        409
    │   ├── StaleWrite        the etag moved                                     412
    │   ├── ConditionFailed   a Patch's condition does not hold                  412
    │   └── NotFound          the document of a Replace, Patch or Delete is gone 404 (also raised by `read`)
    ├── Busy                  throttled or locked: try again after a delay       429, 449
    └── Unavailable           no answer; the commit may or may not have happened
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import orjson

type Json = Any  # a JSON value; mypy cannot follow the recursive type through pydantic's dumps
type Value = Mapping[str, Json]
type Position = int | str
type Operator = Literal["=", "!=", "<", "<=", ">", ">=", "contains"]

WRITES_MAX = 100  # operations in a transactional batch: https://learn.microsoft.com/azure/cosmos-db/concepts-limits
COMMIT_BYTES_MAX = 2 * 1024 * 1024
PAGE_MAX = 200
GROUPS_MAX = 1_000  # groups `counts_by` gives; the smaller ones are left out
GROUPED_BY_MAX = 3


class StoreError(Exception):
    """Anything the store refuses or fails at."""


class CommitRefused(StoreError):
    """One write of a commit was refused, so none of them happened.

    :param index: position of the refusing write in the commit
    """

    def __init__(self, detail: str, *, index: int = 0) -> None:
        super().__init__(detail)
        self.index = index


class AlreadyExists(CommitRefused):
    """A `Create` found its id taken."""


class StaleWrite(CommitRefused):
    """The document changed since it was read."""


class ConditionFailed(CommitRefused):
    """The condition of a `Patch` does not hold."""


class NotFound(CommitRefused):
    """There is no such document."""


class Busy(StoreError):
    """Throttled, or the document is locked by another writer; nothing happened.

    :param retry_after_seconds: how long the store asks us to wait
    """

    def __init__(self, detail: str, *, retry_after_seconds: float = 0.0) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(StoreError):
    """No answer. A commit may or may not have happened: repeat it, deterministic ids make that safe."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document as read.

    :param value: what was written, and the partition-key property; never the store's own `id`, `ttl` or `_…` properties
    :param etag: opaque; moves with every change
    """

    id: str
    partition: str
    value: Value
    etag: str


@dataclass(frozen=True, slots=True)
class Where:
    """`path operator value`, e.g. `Where("available", ">=", 2)`; `path` is a top-level property.

    `contains` (Cosmos: `CONTAINS`) holds where the property is a string in which the value, a string, occurs as it is
    written: case and accents count, nothing is a wildcard, and the empty string occurs everywhere. A missing property
    satisfies nothing, not even `!=`, as in Cosmos.
    """

    path: str
    operator: Operator
    value: str | int | bool


@dataclass(frozen=True, slots=True)
class Create:
    """Write a document that must not exist yet; `ttl_seconds` after its last change it is gone."""

    id: str
    value: Value
    ttl_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Replace:
    """Write over the document that had `etag` when it was read."""

    id: str
    value: Value
    etag: str
    ttl_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Patch:
    """Add to and set top-level properties on the server, if every condition holds there.

    An increment of a missing property sets it. At most 10 operations (Cosmos' limit).
    """

    id: str
    increments: Mapping[str, int] = field(default_factory=dict)
    sets: Mapping[str, Json] = field(default_factory=dict)
    conditions: Sequence[Where] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove the document; with an etag, only that version of it."""

    id: str
    etag: str | None = None


type Write = Create | Replace | Patch | Delete


@dataclass(frozen=True, slots=True)
class OrderBy:
    """Sort by a top-level property; ties are broken by id."""

    path: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Some documents and, when there are more, the signed token that continues after them."""

    documents: Sequence[Document]
    continuation: str | None


@dataclass(frozen=True, slots=True)
class Count:
    """How many documents have these values.

    :param values: one for each property that was grouped by, in that order
    """

    values: tuple[str, ...]
    number: int


class Everywhere:
    """The marker for a cross-partition query, written out because it costs every partition."""


EVERYWHERE = Everywhere()


class ContinuationRefused(StoreError):
    """The continuation token is forged, damaged, or belongs to another query."""


class Store(Protocol):
    """A document store: `shared/store/cosmos.py` on Azure, `shared/store/embedded.py` on one machine."""

    async def read(self, container: str, partition: str, id: str) -> Document:  # noqa: A002 - the field's own word
        """The document, at its latest committed version.

        :raises NotFound: there is none
        :raises Busy: throttled
        :raises Unavailable: no answer
        """
        ...

    async def commit(self, container: str, partition: str, writes: Sequence[Write]) -> Sequence[str]:
        """All of `writes` (1–100, together under 2 MB), durably, or none of them.

        :returns: the etag of each written document, in order; an empty string for a `Delete`
        :raises CommitRefused: a write refused; its subclass says why, its `index` which
        :raises Busy: throttled; nothing happened
        :raises Unavailable: no answer; it may have happened
        """
        ...

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
        """A page of the documents for which every condition holds (without `order_by`: by id within a partition).

        :raises ValueError: `EVERYWHERE` with `order_by`: Cosmos has no continuation for it from Python
        :raises ContinuationRefused: the token is not one we signed for this very query
        """
        ...

    async def counts_by(
        self, container: str, partition: str, *, by: Sequence[str], where: Sequence[Where] = ()
    ) -> Sequence[Count]:
        """How many documents of one partition, for which every condition holds, have each combination of values.

        Cosmos: `SELECT …, COUNT(1) … GROUP BY …`; each page may have a part of a group, and the adapter adds them up.

        :param by: one to `GROUPED_BY_MAX` top-level properties; documents that lack one, or in which one is not a
            string, are not counted
        :returns: the largest first, equal ones by their values; at most `GROUPS_MAX`
        :raises ValueError: no properties or too many, or conditions that cannot be evaluated
        """
        ...


@dataclass(frozen=True, slots=True)
class FeedBatch:
    """Changed documents, oldest change first, as Cosmos hands them to a trigger.

    :param text: a JSON array of whole documents with their system properties (`id`, `_etag`, `_ts` in seconds, `_lsn`)
        and the partition-key property; a document changed twice appears once, in its latest version; deletes do not
        appear
    :param position: where the lease stands once the batch is done; only its own feed can read it
    """

    text: str
    position: Position

    @property
    def documents(self) -> Sequence[Value]:
        """The documents, read anew at each call."""
        found: list[Value] = orjson.loads(self.text)
        return found


class ChangeFeed(Protocol):
    """The change feed as a trigger consumes it: a lease per consumer, held by one process at a time.

    On Azure the Functions host does this; only the local host calls it.
    """

    async def acquire(self, container: str, lease: str, *, owner: str, seconds: float) -> bool:
        """Take or renew the lease for `seconds`; False while another live owner holds it."""
        ...

    async def changes(self, container: str, lease: str, *, owner: str, limit: int) -> FeedBatch | None:
        """The next changes after the lease's position, or None when there are none. Does not move the lease.

        :raises LeaseLost: `owner` no longer holds it
        """
        ...

    async def advance(self, container: str, lease: str, *, owner: str, position: Position) -> None:
        """Move the lease on, durably.

        :raises LeaseLost: `owner` no longer holds it; the batch will be seen again
        """
        ...

    async def release(self, container: str, lease: str, *, owner: str) -> None:
        """Give the lease up, so that another process need not wait for it to lapse."""
        ...

    async def wait(self, timeout_seconds: float) -> None:
        """Return when this process has committed something, or another has, or after the timeout."""
        ...


class LeaseLost(StoreError):
    """Another owner took the lease."""
