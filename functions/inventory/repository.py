"""Shards, holds and gates as documents: the only file that knows their ids and partitions.

Every counter change rides in one commit with the hold it belongs to, and the hold is written first: repeating the
commit after an ambiguous timeout finds it and changes nothing.
"""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from functions.inventory.pools import (
    Allocation,
    HoldState,
    Pool,
    Shard,
    hold_document,
    hold_id,
    partition_of,
    split,
)
from shared.kernel.clock import stamp
from shared.kernel.ids import OrderId, PoolId
from shared.retry import TRANSIENT, retry
from shared.store.paging import all_documents
from shared.store.port import (
    EVERYWHERE,
    PAGE_MAX,
    AlreadyExists,
    ConditionFailed,
    Create,
    Document,
    NotFound,
    Patch,
    Replace,
    StaleWrite,
    Store,
    Unavailable,
    Where,
    Write,
)

CONTAINER = "inventory"
SHARD_ID = "shard"
GATE_ID = "gate"
UNAUDITED: Final = {"unaudited": True}  # set by every change of counters, until the audit has compared them
_COUNTER: Final = {HoldState.HELD: "held", HoldState.SOLD: "sold", HoldState.FREED: "available"}


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold as read."""

    quantity: int
    state: HoldState


@dataclass(frozen=True, slots=True)
class StoredShard:
    """A shard and the document it was read from."""

    shard: Shard
    document: Document


@dataclass(frozen=True, slots=True)
class Gate:
    """Who may gather from several shards of a pool just now.

    :param until: the owner's turn lapses then; None: nobody's turn
    :param etag: empty while the document does not exist
    """

    owner: str
    until: datetime | None
    etag: str


class InventoryRepository:
    """Reads and writes the `inventory` container."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def open(self, pool: Pool, capacity: int) -> None:
        """Create the pool's shards; those that exist are left as they are."""
        for document in split(pool, capacity):
            create = Create(SHARD_ID, document)
            try:
                await self._store.commit(CONTAINER, pool.partition(document["shard"]), [create])
            except AlreadyExists:
                continue

    async def shard(self, pool_id: PoolId, shard: int) -> Shard:
        """The counters of one shard.

        :raises NotFound: the pool was never opened
        """
        document = await self._store.read(CONTAINER, partition_of(pool_id, shard), SHARD_ID)
        return Shard.model_validate(document.value)

    async def take(
        self, pool: Pool, shard: int, *, order_id: OrderId, attempt: int, quantity: int, now: datetime
    ) -> Hold | None:
        """Hold `quantity` in one shard if it has them, without reading first.

        :returns: the hold, old or new, whatever its state; None when the shard is short
        """
        document = hold_document(pool, order_id, attempt, quantity, state=HoldState.HELD, now=now)
        writes: list[Write] = [
            Create(hold_id(order_id, attempt), document),
            Patch(
                SHARD_ID,
                increments={"available": -quantity, "held": quantity},
                sets=UNAUDITED,
                conditions=[Where("available", ">=", quantity)],
            ),
        ]

        async def commit() -> Hold | None:
            try:
                await self._store.commit(CONTAINER, pool.partition(shard), writes)
            except ConditionFailed:
                return None
            except AlreadyExists:
                found = await self.hold(pool.pool_id, shard, order_id, attempt)
                if found is None:  # and not “short”: what this hold keeps would be nobody's
                    raise Unavailable("The store has the hold, and does not show it yet.") from None
                return found
            return Hold(quantity, HoldState.HELD)

        return await retry(commit, on=TRANSIENT)

    async def hold(self, pool_id: PoolId, shard: int, order_id: OrderId, attempt: int) -> Hold | None:
        """An order's hold in one shard, or None."""
        try:
            document = await self._store.read(CONTAINER, partition_of(pool_id, shard), hold_id(order_id, attempt))
        except NotFound:
            return None
        return Hold(int(document.value["quantity"]), HoldState(document.value["state"]))

    async def move(self, held: Allocation, order_id: OrderId, *, before: HoldState, after: HoldState) -> bool:
        """Move a hold and its quantity from one state to the next, if it is in `before`.

        :returns: False when it is not, and nothing changed
        """
        writes = [
            Patch(
                hold_id(order_id, held.attempt),
                sets={"state": after.value, "held_since": None},
                conditions=[Where("state", "=", before.value)],
            ),
            Patch(
                SHARD_ID,
                increments={_COUNTER[before]: -held.quantity, _COUNTER[after]: held.quantity},
                sets=UNAUDITED,
            ),
        ]

        async def commit() -> bool:
            try:
                await self._store.commit(CONTAINER, partition_of(held.pool_id, held.shard), writes)
            except ConditionFailed:
                return False
            return True

        return await retry(commit, on=TRANSIENT)

    async def entomb(self, pool: Pool, shard: int, *, order_id: OrderId, attempt: int, now: datetime) -> bool:
        """Leave a tombstone where a hold might still be taken, so that it cannot be.

        :returns: False when there is a hold already
        """
        document = hold_document(pool, order_id, attempt, 0, state=HoldState.FREED, now=now)

        async def commit() -> bool:
            try:
                await self._store.commit(
                    CONTAINER, pool.partition(shard), [Create(hold_id(order_id, attempt), document)]
                )
            except AlreadyExists:
                return False
            return True

        return await retry(commit, on=TRANSIENT)

    async def gate(self, pool_id: PoolId) -> Gate:
        """The pool's gate."""
        try:
            document = await self._store.read(CONTAINER, _gate_partition(pool_id), GATE_ID)
        except NotFound:
            return Gate("", None, "")
        until = document.value["until"]
        return Gate(document.value["owner"], datetime.fromisoformat(until) if until else None, document.etag)

    async def pass_gate(self, pool: Pool, seen: Gate, *, owner: str, until: datetime | None) -> Gate | None:
        """Take (`until` set) or give up the gate, if it still is as `seen`; None when it is not."""
        value: dict[str, Any] = {
            "kind": "gate",
            "organiser_id": pool.organiser_id,
            "owner": owner,
            "until": stamp(until) if until else None,
        }
        write = Replace(GATE_ID, value, seen.etag) if seen.etag else Create(GATE_ID, value)

        async def commit() -> Gate | None:
            try:
                [etag] = await self._store.commit(CONTAINER, _gate_partition(pool.pool_id), [write])
            except (AlreadyExists, StaleWrite):
                return None
            return Gate(owner, until, etag)

        return await retry(commit, on=TRANSIENT)

    async def shards(self, *, unaudited: bool) -> AsyncIterator[StoredShard]:
        """Every shard there is, or those that changed since they were last found right: for the audit."""
        # Only shards have a capacity, only few of them are unaudited, and both properties are indexed.
        where = Where("unaudited", "=", True) if unaudited else Where("capacity", ">", 0)
        async for document in self._everywhere(where):
            yield StoredShard(Shard.model_validate(document.value), document)

    async def is_still(self, read: StoredShard) -> bool:
        """Whether the shard is as it was read: it moves with every hold."""
        now = await self._store.read(CONTAINER, read.document.partition, SHARD_ID)
        return now.etag == read.document.etag

    async def found_right(self, read: StoredShard) -> bool:
        """Write down that a shard's holds say what its counters say; False when it changed since it was read."""
        if not read.document.value.get("unaudited"):
            return await self.is_still(read)
        value = {**read.document.value, "unaudited": None}
        try:
            await self._store.commit(CONTAINER, read.document.partition, [Replace(SHARD_ID, value, read.document.etag)])
        except StaleWrite:
            return False
        return True

    async def hold_sums(self, pool_id: PoolId, shard: int) -> Counter[HoldState]:
        """How many places a shard's holds speak for, by their state."""
        sums: Counter[HoldState] = Counter()
        partition, where = partition_of(pool_id, shard), [Where("kind", "=", "hold")]
        async for document in all_documents(
            lambda continuation: self._store.query(
                CONTAINER, partition, where=where, limit=PAGE_MAX, continuation=continuation
            )
        ):
            sums[HoldState(document.value["state"])] += int(document.value["quantity"])
        return sums

    async def held_before(self, moment: datetime) -> AsyncIterator[tuple[OrderId, Allocation]]:
        """Holds taken before `moment` that are still held: for the repair timer."""
        async for document in self._everywhere(Where("held_since", "<", stamp(moment))):
            yield _held(document.partition, document.value)

    def _everywhere(self, where: Where) -> AsyncIterator[Document]:
        return all_documents(
            lambda continuation: self._store.query(
                CONTAINER, EVERYWHERE, where=[where], limit=PAGE_MAX, continuation=continuation
            )
        )


def _held(partition: str, value: Any) -> tuple[OrderId, Allocation]:
    shard = int(partition.rpartition("#")[2])
    held = Allocation(
        pool_id=value["pool_id"], shard=shard, quantity=int(value["quantity"]), attempt=int(value["attempt"])
    )
    return OrderId(value["order_id"]), held


def _gate_partition(pool_id: PoolId) -> str:
    return f"{pool_id}#gate"
